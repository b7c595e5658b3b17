"""What the linter reports: a code, a place, why it matters and what to do about it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from constitution.problems import Problem
from constitution.yaml_source import Location, YamlSource

__all__ = ["INVALID", "RULES", "Found", "Level", "LintFinding", "Rule", "found", "invalid"]

_PLACE = re.compile(r":(\d++)(?::(\d++))?+\Z")


class Level(StrEnum):
    """How sure a rule is: an error is a contradiction within the file, a warning is nearly always
    right, advice is worth a thought."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing the linter looks for; `fixable` by `--fix` without changing what a model reads."""

    code: str
    title: str
    level: Level
    fixable: bool = False
    judged: bool = False
    """Found by a judge, so only where one is asked."""


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing found in a file. `line` and `column` count from 1."""

    rule: Rule
    file: str
    line: int
    column: int
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.rule.code} {self.told}"

    @property
    def told(self) -> str:
        """What is wrong and what to do."""
        return f"{self.why}; {self.remedy}" if self.remedy else self.why


INVALID = Rule("SC001", "the file is not valid", Level.ERROR)
"""What a file is refused for, beside the findings of a valid one."""
_E, _W, _A = Level.ERROR, Level.WARNING, Level.ADVICE
RULES = {
    rule.code: rule
    for rule in (
        Rule("SC101", "statement over 60 words", _W),
        Rule("SC102", "several demands in one principle", _A),
        Rule("SC103", "negative, and nothing says what to do instead", _A),
        Rule("SC104", "a comparison where one reply is judged", _W),
        Rule("SC105", "a preference that compares nothing", _W),
        Rule("SC106", "no tests", _A),
        Rule("SC107", "too vague to judge by", _W),
        Rule("SC108", "a placeholder", _W),
        Rule("SC109", "template syntax", _W),
        Rule("SC110", "headings of another format", _W),
        Rule("SC111", "capitals or exclamation marks for emphasis", _A),
        Rule("SC112", "critique and revision swapped", _W),
        Rule("SC113", "a question as statement", _W),
        Rule("SC201", "the same test twice", _W),
        Rule("SC202", "test answers hardly differ", _W),
        Rule("SC203", "length alone distinguishes the test answers", _A),
        Rule("SC204", "a test that the principle's own check contradicts", _E),
        Rule("SC205", "a text that nobody reads, as the check decides", _W),
        Rule("SC301", "two principles say nearly the same", _W),
        Rule("SC302", "never drawn", _W),
        Rule("SC303", "a tag that nothing carries", _W),
        Rule("SC304", "a stakeholder profile that changes nothing", _W),
        Rule("SC305", "the preamble repeats a principle", _A),
        Rule("SC306", "version is not MAJOR.MINOR.PATCH", _A),
        Rule("SC307", "no description", _A),
        Rule("SC308", "an example whose revision is its answer", _W),
        Rule("SC309", "one principle outweighs all others together", _A),
        Rule("SC310", "two principles pull against each other", _A, judged=True),
        Rule("SC401", "no schema line for editors", _A, fixable=True),
        Rule("SC402", "a tag listed twice", _W, fixable=True),
        Rule("SC403", "trailing white space", _A, fixable=True),
        Rule("SC404", "text that `#` makes a comment", _W),
        Rule("SC405", "a number that YAML reads in another base", _W),
        Rule("SC406", "text that `&` makes an anchor", _W),
    )
}


Found = Iterator[tuple[str, Location, str, str]]
"""What a rule yields: code, place, why it matters and the remedy."""


def invalid(problem: Problem) -> LintFinding:
    """A problem as a finding; one without a line is at the beginning of its file."""
    place = _PLACE.search(problem.where)
    file = problem.where[: place.start()] if place else problem.where
    line, column = (max(1, int(number or 1)) for number in (place.groups() if place else (1, 1)))
    return LintFinding(INVALID, file, line, column, problem.what, problem.remedy)


def found(
    code: str, source: YamlSource, location: Location, why: str, remedy: str, *, key: bool = False
) -> LintFinding:
    """A finding at a value (or key) of a file."""
    place = source.place(location, key=key)
    return LintFinding(RULES[code], source.name, place.line, place.column, why, remedy)
