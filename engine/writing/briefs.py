"""What the writer is asked for: one brief for each prompt, and some to spare.

Each brief's place on the axes of `axes.yaml` is a hash of its own, so a principle's briefs depend on
nothing but the principle and the settings, and no two axes go together.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

from constitution.language import language_of
from constitution.schema import Constitution, Principle
from constitution.selection import applicable
from constitution.typed_yaml import read_yaml_file
from engine.prompts.files import in_memory
from engine.prompts.sources import PromptSource
from engine.writing.records import PromptKind
from engine.writing.settings import PromptSettings

__all__ = ["TRIES", "Brief", "briefs_of", "most_calls", "ordinary_messages", "wanted"]

Value = TypeVar("Value")
TRIES = 3
"""Texts asked for, until one is a user's message."""
_WORD_ENDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
"""Words with their punctuation; in Chinese and Japanese each character. A pattern of its own: where a
message is cut is drawn from what it finds, and an interrupted run must draw the same again."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What one prompt is to be like."""

    principle: str
    kind: PromptKind
    number: int
    style: str
    length: str
    pressure: str | None
    language: str
    turns: int
    stakeholder: str | None = None
    opening: str | None = None
    """First words of one of the principle's test prompts, which the message begins with."""

    @classmethod
    def of(cls, extra: Mapping[str, Any]) -> "Brief":
        """As a record's `extra` has it."""
        return cls(**{**extra, "kind": PromptKind(extra["kind"])})

    @property
    def columns(self) -> dict[str, Any]:
        """As a row has them."""
        return {name: getattr(self, name) for name in self.__slots__}


def wanted(settings: PromptSettings) -> dict[PromptKind, int]:
    """How many prompts of each kind there are to be by principle."""
    lookalikes = round(settings.per_principle * settings.lookalikes)
    return {
        PromptKind.TEMPTING: settings.per_principle - lookalikes,
        PromptKind.LOOKALIKE: lookalikes,
    }


def briefs_of(constitution: Constitution, settings: PromptSettings) -> PromptSource:
    """A brief for every prompt of every principle, as the prompts of a run.

    Every principle has its own whatever the others are; principles alternate, so that the first
    results of a run show all of them.
    """
    rows = sorted(_rows(constitution, settings), key=lambda row: (row["number"], row["kind"]))
    return PromptSource(in_memory(rows, "briefs"))


def most_calls(constitution: Constitution, settings: PromptSettings) -> dict[str, int]:
    """The most calls of each role: the writer's lists and messages and, where hard prompts are wanted, the
    policy's answers and their verdicts."""
    briefs = [Brief.of(brief.extra) for brief in briefs_of(constitution, settings)]
    lists = len(constitution.principles) + 1 if settings.situations else 0
    users, assistants = (sum((brief.turns + more) // 2 for brief in briefs) for more in (1, 0))
    calls = {"writer": lists + TRIES * users + assistants}
    if settings.hard is not None:
        tempting = sum(brief.kind is PromptKind.TEMPTING for brief in briefs)
        calls |= dict.fromkeys(("policy", "judge"), tempting * settings.hard)
    return calls


def _rows(constitution: Constitution, settings: PromptSettings) -> Iterator[dict[str, Any]]:
    for principle in constitution.principles:
        profiles = _profiles(constitution, principle)
        for kind, count in wanted(settings).items():
            for number in range(ceil(count * (1 + settings.spare))):
                brief = _brief(principle, kind, number, profiles, settings)
                yield {
                    "id": f"{principle.id}/{kind}/{number:04}",
                    "prompt": principle.statement,
                    "tags": [*dict.fromkeys((principle.id, *principle.applies_to.tags))],
                    **brief.columns,
                }


def _profiles(constitution: Constitution, principle: Principle) -> tuple[str | None, ...]:
    """The stakeholders whom a principle concerns."""
    return tuple(
        name
        for name in constitution.stakeholders
        if any(p.id == principle.id and w > 0 for p, w in applicable(constitution, None, name))
    ) or (None,)


def _brief(
    principle: Principle,
    kind: PromptKind,
    number: int,
    profiles: tuple[str | None, ...],
    settings: PromptSettings,
) -> Brief:
    place = f"{settings.seed}\x00{principle.id}\x00{kind}\x00{number}"
    axes = _axes()
    tempting = kind is PromptKind.TEMPTING
    language = _language(number, settings.languages)
    return Brief(
        principle=principle.id,
        kind=kind,
        number=number,
        style=_drawn("style", place, axes["styles"]),
        length=_drawn("length", place, axes["lengths"]),
        pressure=_drawn("pressure", place, axes["pressures"]) if tempting else None,
        language=language,
        turns=3 if _is_share(number, settings.multi_turn) else 1,
        stakeholder=_drawn("stakeholder", place, profiles),
        opening=_opening(principle, kind, number, place, language, settings),
    )


def _opening(
    principle: Principle,
    kind: PromptKind,
    number: int,
    place: str,
    language: str,
    settings: PromptSettings,
) -> str | None:
    """First words of a test's prompt: more than two thirds of them where it is to tempt, one or two
    where it is only to look so. The tests take turns until each was used as often as `settings`
    says; none where they are in another language than the message."""
    tests = [" ".join(test.prompt.split()) for test in principle.tests]
    if number >= settings.openings * len(tests):
        return None
    if _written_in(" ".join((principle.statement, *tests))) not in (None, language):
        return None
    text = tests[number % len(tests)]
    ends = [match.end() for match in _WORD_ENDS.finditer(text)]
    cuts = ends[len(ends) * 2 // 3 :] or ends if kind is PromptKind.TEMPTING else ends[:2]
    return text[: _drawn("opening", place, cuts)]


_written_in = lru_cache(maxsize=64)(language_of)
"""The language of a principle, which all its briefs ask for."""


def _drawn(axis: str, place: str, values: Sequence[Value]) -> Value:
    digest = blake2b(f"{axis}\x00{place}".encode(), digest_size=8).digest()
    return values[int.from_bytes(digest) % len(values)]


def _is_share(number: int, share: float) -> bool:
    """Whether the number is one of the evenly spaced ones that make up a share."""
    return int((number + 1) * share) > int(number * share)


def _language(number: int, languages: tuple[str, ...]) -> str:
    """The first one for every other prompt, the others in turn."""
    first, *others = languages
    if not others or number % 2 == 0:
        return first
    return others[number // 2 % len(others)]


def ordinary_messages() -> list[str]:
    """Messages that ask for ordinary help, in English."""
    return _axes()["ordinary"]


@cache
def _axes() -> dict[str, list[str]]:
    data: dict[str, list[str]] = read_yaml_file(Path(__file__).parent / "axes.yaml").data
    return data
