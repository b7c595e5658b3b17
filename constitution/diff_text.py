"""A difference between two constitutions as lines of text, and as a document for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from constitution.diff import Change, ChangeKind
from constitution.problems import visible
from constitution.schema import Constitution
from constitution.word_diff import word_diff

__all__ = ["Piece", "diff_document", "diff_lines"]

_SHORT = (
    ChangeKind.REWEIGHTED,
    ChangeKind.RESCOPED,
    ChangeKind.RECHECKED,
    ChangeKind.RENAMED,
    ChangeKind.REORDERED,
)
"""Kinds whose two sides are shown whole; in the others the changed words are marked."""
Piece = tuple[str, str]
"""Text, and what it is: `old` and `new` words within a text, what `was` and is `now` the whole of
a side, a `head`, or nothing of these."""


def diff_document(
    old: Constitution, new: Constitution, changes: Sequence[Change]
) -> dict[str, Any]:
    """For JSON."""

    def head(one: Constitution) -> dict[str, str]:
        return {"name": one.name, "version": one.version, "hash": one.content_hash}

    told = [asdict(change) | {"alters_runs": change.alters_runs} for change in changes]
    return {"same": not changes, "old": head(old), "new": head(new), "changes": told}


def diff_lines(
    old: Constitution, new: Constitution, changes: Sequence[Change]
) -> Iterator[list[Piece]]:
    """Both heads, the changes part by part, and a summary."""
    for mark, one in (("---", old), ("+++", new)):
        yield [(f"{mark} {one.name} {one.version} {one.content_hash}", "")]
    for (part, name), group in groupby(changes, lambda change: (change.part, change.name)):
        yield [("", "")]
        yield [(f"{part} {name}".strip(), "head")]
        for change in group:
            yield [(f"  {_label(change)}: ", ""), *_sides(change)]
    yield [("", "")]
    yield [(_summary(changes), "")]


def _label(change: Change) -> str:
    whole = change.kind in (ChangeKind.ADDED, ChangeKind.REMOVED)
    plain = whole or (change.kind.value, change.field) in (
        ("re-weighted", "weight"),
        ("renamed", "id"),
    )
    return change.kind.value if plain else f"{change.kind.value} {change.field}"


def _sides(change: Change) -> Iterator[Piece]:
    old, new = (text and visible(text).replace("\n", "\n    ") for text in (change.old, change.new))
    if change.kind in _SHORT:
        yield from ((old or "(none)", "was"), (" -> ", ""), (new or "(none)", "now"))
        return
    for piece in word_diff(old or "", new or ""):
        if piece.same:
            yield piece.before, ""
            continue
        for text, style in ((piece.before, "old"), (piece.after, "new")):
            if text:
                yield text, style


def _summary(changes: Sequence[Change]) -> str:
    principles: dict[str, set[str]] = {}
    for change in changes:
        if change.part == "principle":
            principles.setdefault(change.kind.value, set()).add(change.name)
    told = ", ".join(f"{len(names):,} {kind}" for kind, names in principles.items())
    told = f"principles: {told}" if told else "no principle differs"
    if not any(change.alters_runs for change in changes):
        told += "; runs made with the old one are still up to date"
    return told
