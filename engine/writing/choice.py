"""Which written prompts are kept, as rows of a file: no two nearly alike, so many of each principle."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.messages import Conversation, to_dicts
from engine.prompts.near import unlike
from engine.writing.records import PromptKind, WriteOutcome, WrittenPrompt

__all__ = ["Chosen", "choose_prompts", "last_words", "row_of"]

ALIKE = 0.4
"""Jaccard similarity of three-word shingles from which on two prompts are not both kept: messages are
short, and one word replaced in a sentence of ten leaves 0.45."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The prompts kept, and how many were left out for what."""

    prompts: tuple[WrittenPrompt, ...]
    alike: int
    """Nearly the same as one that was kept."""
    beyond: int
    """More than were wanted of their principle and kind."""


def choose_prompts(
    records: Iterable[WrittenPrompt], wanted: dict[PromptKind, int], known: Sequence[str] = ()
) -> Chosen:
    """The first of each principle and kind, in the order of their briefs, none of them nearly the
    same as another or as one of the texts `known`."""
    written = sorted(
        (one for one in records if one.outcome is WriteOutcome.WRITTEN), key=lambda one: one.row
    )
    new = unlike([*known, *map(last_words, written)], ALIKE)[len(known) :]
    counts: Counter[tuple[str, PromptKind]] = Counter()
    prompts, beyond = [], 0
    for one, is_new in zip(written, new, strict=True):
        if not is_new:
            continue
        key = (one.extra["principle"], PromptKind(one.extra["kind"]))
        if counts[key] >= wanted[key[1]]:
            beyond += 1
            continue
        counts[key] += 1
        prompts.append(one)
    return Chosen(tuple(prompts), new.count(False), beyond)


def last_words(written: WrittenPrompt | Conversation) -> str:
    """The user's last message."""
    turns = written.written if isinstance(written, WrittenPrompt) else written
    return turns[-1].content


def row_of(written: WrittenPrompt) -> dict[str, Any]:
    """A prompt as `solon revise` and the other commands read one, with where it is from."""
    turns = written.written
    brief = written.extra
    return {
        "id": written.id,
        "prompt": turns[0].content if len(turns) == 1 else to_dicts(turns),
        "tags": list(written.tags),
        "principle": brief["principle"],
        "kind": brief["kind"],
        "brief": {name: value for name, value in brief.items() if name not in _OWN},
        "situation": written.situation,
        "broken": written.broken,
        "constitution": written.constitution,
        "models": written.models,
        "seed": written.seed,
    }


_OWN = ("principle", "kind", "number")
