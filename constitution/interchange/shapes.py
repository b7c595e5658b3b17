"""What a format is to us: how it is recognised, read and written, and what it has no place for."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from constitution.interchange.draft import ConstitutionDraft
from constitution.problems import InputError, Problem
from constitution.schema import Constitution, Principle

__all__ = ["WITHOUT_IDS", "Exported", "Format", "Shape"]

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
