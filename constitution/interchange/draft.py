"""A format of another project: how it is recognised, read and written, and what it has no place for."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from constitution.interchange.wording import (
    only_own_words,
    own_statement,
    statement_for_choice,
    statement_for_revision,
    unique_slug,
)
from constitution.problems import InputError, Problem
from constitution.schema import Constitution, FewShotExample, Principle
from constitution.yaml_source import shown

__all__ = [
    "WITHOUT_IDS",
    "ConstitutionDraft",
    "Exported",
    "Format",
    "Imported",
    "Shape",
    "has_rows",
    "texts_of",
]

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Imported:
    """A constitution, and what of the file is not in it."""

    constitution: Constitution
    format: str
    notes: tuple[str, ...]
    """What was derived, changed or left out, a sentence each."""
    prompts: tuple[Mapping[str, Any], ...] = ()
    """Rows of a prompts file: questions that came with principles, tagged by principle id."""


def has_rows(data: Any, *keys: str) -> bool:
    """Whether a list, or an object's values, hold an object with one of the keys."""
    rows = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return any(isinstance(row, dict) and not row.keys().isdisjoint(keys) for row in rows)


def texts_of(data: Any) -> list[str]:
    """The texts in a list; none if it is not one."""
    return [text for text in data if isinstance(text, str)] if isinstance(data, list) else []


@dataclass(slots=True)
class ConstitutionDraft:
    """A constitution being read; `problems` are collected, so that all are reported at once."""

    file: str
    name: str
    version: str = "1.0.0"
    description: str | None = None
    preamble: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """The field that each column of a table stands for, as the user says."""
    principles: list[Principle] = field(default_factory=list)
    few_shot: list[FewShotExample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    prompts: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    derived: int = 0

    def wrong(self, where: str, what: str, remedy: str = "") -> None:
        """Note a problem at `where` inside the file."""
        self.problems.append(Problem(f"{self.file}: {where}", what, remedy))

    def text(self, value: Any, where: str) -> str:
        """`value`, if it is text that says something; else a problem and an empty string."""
        if not isinstance(value, str):
            self.wrong(where, "is missing" if value is None else f"is {shown(value)}, not text")
        elif _SURROGATE.search(value):
            self.wrong(where, "holds half of a character", "save the file as UTF-8 again")
        elif not value.strip():
            self.wrong(where, "is empty")
        else:
            return value.strip()
        return ""

    def mapping(self, value: Any, where: str) -> Mapping[str, Any]:
        """`value`, if it is an object; else a problem and an empty one."""
        if isinstance(value, dict):
            return value
        self.wrong(where, f"is {shown(value)}, not an object")
        return {}

    def items(self, value: Any, where: str) -> Sequence[Any]:
        """`value`, if it is a list; else a problem and an empty one."""
        if isinstance(value, list):
            return value
        self.wrong(where, f"is {shown(value)}, not a list")
        return []

    def left_out(self, row: Mapping[str, Any], known: Sequence[str], where: str = "") -> None:
        """Say which keys of `row` have no place in a constitution."""
        for key, value in row.items():
            if key not in known and value not in (None, "", [], {}):
                self.notes.append(f"left out: {where}{key}, {shown(value, 200)}")

    # Principles -----------------------------------------------------------------------------------

    def revised_by(self, critique: str, revision: str, name: str | None = None) -> str:
        """A principle of a request for a critique and one for a revision; gives its id."""
        derived = statement_for_revision(revision)
        return self._asked(name, derived, critique=critique, revision=revision)

    def chosen_by(self, preference: str) -> str:
        """A principle of a comparison, for a judge; gives its id."""
        return self._asked(None, statement_for_choice(preference), preference=preference)

    def _asked(self, name: str | None, derived: str, **asked: str) -> str:
        """Its statement is the one that its texts frame, if they are ours; else that `derived`."""
        known = next(filter(None, map(own_statement, asked.values())), None)
        statement = known or derived
        self.derived += not known
        own = {key: only_own_words(text, statement) for key, text in asked.items()}
        words = asked.get("preference", statement)
        return self._add(name or words, name is None, statement=statement, **own)

    def stated(self, statement: str, name: str = "", *, words: str = "", **fields: Any) -> str:
        """A principle of a statement, with other `fields` that it may have; gives its id, which is
        `name`, or else from `words`, or those of the statement."""
        return self._add(name or words or statement, not name, statement=statement, **fields)

    def _add(self, name: str, from_words: bool, **fields: Any) -> str:
        taken = {principle.id for principle in self.principles}
        id = unique_slug(name, taken, from_words=from_words)
        if not from_words and id != name:
            self.notes.append(f"the principle {name!r} is now called {id}")
        if all(text != "" for text in fields.values()):
            self.principles.append(Principle(id=id, **fields))
        return id

    def finished(self, format: str) -> Imported:
        """The constitution. Raises InputError with everything that was wrong."""
        if not self.principles and not self.problems:
            self.problems.append(Problem(self.file, "holds no principles"))
        if self.problems:
            raise InputError(self.problems)
        if self.derived:
            self.notes.insert(
                0,
                f"{self.derived:,} of {len(self.principles):,} statements were derived from what is "
                "asked of critic, reviser or judge: read them before a judge goes by them",
            )
        constitution = Constitution(
            name=self.name,
            version=self.version,
            description=self.description,
            preamble=self.preamble,
            principles=tuple(self.principles),
            few_shot=tuple(dict.fromkeys(self.few_shot)),
        )
        return Imported(constitution, format, tuple(self.notes), tuple(self.prompts))


WITHOUT_IDS = "left out: the ids of the principles"
_PARTS = ("preamble", "stakeholders", "few_shot", "description", "version")
_WORDS = ("statement", "critique", "revision", "preference")
_FIELDS = (*_WORDS, "check", "judged", "weight", "severity", "tags", "applies_to", "tests")


class Format(StrEnum):
    """The formats of other projects."""

    ANTHROPIC = "anthropic"
    ANTHROPIC_FEW_SHOT = "anthropic-few-shot"
    ANTHROPIC_PREFERENCE = "anthropic-preference"
    LLM_SWARM = "llm-swarm"
    NEMO_ALIGNER = "nemo-aligner"
    OPEN_CHARACTER = "open-character"
    OPEN_CHARACTER_LINES = "open-character-jsonl"
    ICAI = "icai"
    CONSTITUTIONAL_EVALS = "constitutional-evals"
    LANGCHAIN = "langchain"
    PROMPTFOO = "promptfoo"
    NEMO_GUARDRAILS = "nemo-guardrails"
    OUMI = "oumi"
    PRINCIPLES = "principles"


@dataclass(frozen=True, slots=True)
class Exported:
    """The text of a file in another format, and what of the constitution is not in it."""

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """One format; `is_one`, `read` and `write` deal in the data of its JSON."""

    is_one: Callable[[Any], bool]
    read: Callable[[Any, ConstitutionDraft], None]
    write: Callable[[Constitution], Any]
    carries: tuple[str, ...]
    """Parts of a constitution and fields of a principle that it has a place for."""
    note: str = ""
    """What is always to be said of a file that was written."""
    lines: bool = False
    examples_only: bool = False

    def exported(self, constitution: Constitution) -> Exported:
        """The text of a file. Raises InputError where it would hold nothing."""
        if self.examples_only and not constitution.few_shot:
            what = "has no examples (`few_shot`), which are all that this format holds"
            raise InputError(Problem(constitution.name, what, "export it to another format"))
        data = self.write(constitution)
        if self.lines:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in data)
        else:
            text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        return Exported(text, (*filter(None, [self.note]), *self._left_out(constitution)))

    def _left_out(self, constitution: Constitution) -> Iterator[str]:
        """What `constitution` says and the format has no place for, a sentence each."""
        if "tests" in self.carries and any(p.tests for p in constitution.principles):
            yield "left out: the answers of the tests, whose prompts are questions"
        shown = {example.principle for example in constitution.few_shot}
        unshown = [p.id for p in constitution.principles if p.id not in shown]
        if self.examples_only and unshown:
            yield f"left out: principles without an example ({', '.join(unshown)})"
        for name in _PARTS:
            default = Constitution.model_fields[name].get_default(call_default_factory=True)
            if name not in self.carries and getattr(constitution, name) != default:
                yield f"left out: {name.replace('_', '-')}"
        for name in _FIELDS:
            given = Principle.model_fields[name]
            default = None if given.is_required() else given.get_default(call_default_factory=True)
            ids = [p.id for p in constitution.principles if getattr(p, name) != default]
            if name not in self.carries and ids:
                some = ", ".join(ids[:4]) + (", ..." if len(ids) > 4 else "")
                yield f"left out: {name} of {len(ids):,} principles ({some})"
