"""One way to say that an input is wrong: where, what, and how to fix it."""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "EXIT_INTERRUPTED",
    "InputError",
    "Problem",
    "Stopped",
    "all_problems",
    "brief",
    "closest",
    "missing",
    "nearest",
    "visible",
]

EXIT_INTERRUPTED = 130
"""Of a command that a person interrupted, as shells have it: 128 and the number of SIGINT."""

# Characters that show nothing or reorder what is around them. Line breaks, tabs and the joiners
# that scripts and emoji need are left alone.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in an input, in one line."""

    where: str
    """`file:line:column`, `file:row 12`, or the name of an option."""
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}"
        return f"{line}; {self.remedy}" if self.remedy else line


class InputError(Exception):
    """The user's input is wrong; every problem found is listed. The command line exits with 2."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Stopped(Exception):
    """Work could not go on, and nothing of what was finished is lost. The command line prints the
    message and exits with `exit_code`."""

    exit_code = 1


def all_problems(*steps: Callable[[], Any]) -> list[Any]:
    """The result of each step; raises one InputError with the problems of all of them."""
    results: list[Any] = []
    problems: list[Problem] = []
    for step in steps:
        try:
            results.append(step())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return results


def brief(error: BaseException, most: int = 200) -> str:
    """An error's text in one line of at most `most` characters; its type's name where it has none."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def missing(where: str, package: str, extra: str, more: str = "") -> InputError:
    """What to raise where a package of one of Solon's extras is not installed; several are separated
    by commas. `more` goes on with the remedy."""
    what = f"needs {package}, which {'are' if ',' in package else 'is'} missing"
    return InputError(Problem(where, what, f"pip install 'solon[{extra}]'{more}"))


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `name`, if any is."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean X?`, or an empty string when nothing known is like `name`."""
    close = closest(name, known)
    return f"did you mean {close!r}?" if close else ""


def visible(text: str) -> str:
    """`text` with its invisible and reordering characters spelled out, as in `⟨U+202E⟩`, so that it
    cannot steer a terminal or hide from a reader."""
    return _HIDDEN.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", text)
