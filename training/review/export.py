"""A run's replies as a directory that Label Studio or Argilla imports."""

import heapq
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import jsonlines

from constitution.problems import InputError, Problem
from engine.report.summary import read_principle_texts
from engine.storage.atomic import check_free, written_whole
from training.review import argilla, label_studio
from training.review.items import Queue, ReviewItem, repeated_id, review_items, shown_item

__all__ = ["ReviewExport", "Tool", "export_review"]

Tool = Literal["label-studio", "argilla"]
KEY, CARD = "key.jsonl", "README.md"
_FILES = {*label_studio.FILES, *argilla.FILES, KEY, CARD}


@dataclass(frozen=True, slots=True)
class ReviewExport:
    """What was written: `items` of the `available` ones."""

    path: Path
    items: int
    available: int


def export_review(
    run: Path,
    tool: Tool,
    queue: Queue = "pairs",
    out: Path | None = None,
    *,
    limit: int | None = None,
    repeat: float = 0.0,
    overwrite: bool = False,
) -> ReviewExport:
    """Write the items of a run's queue in the order of their hashes, at most `limit` of them.

    The lowest hashes are a random sample, and a larger `limit` later holds it whole. A share of
    `repeat` of them is asked once more, somewhere else and under another id: what reviewers then say
    shows how far they agree with themselves. By default `out` is `exports/TOOL-QUEUE` in the run.
    Raises InputError if there is nothing to review.
    """
    out = out or run / "exports" / f"{tool}-{queue}"
    check_free(out, _FILES, overwrite, "an export for review")
    items, available = _first(run, queue, limit)
    if not items:
        why = "no record was escalated" if queue == "escalated" else "no record gives a pair"
        raise InputError(Problem(str(run), f"has nothing to review: {why}"))
    texts = read_principle_texts(run)
    again = sorted((repeated_id(item.id), item) for item in items)[: round(repeat * len(items))]
    asked = items + [replace(item, id=id) for id, item in again]
    shown = [shown_item(item, texts) for item in sorted(asked, key=lambda item: item.id)]
    with written_whole(out) as directory:
        if tool == "label-studio":
            label_studio.write_label_studio(directory, queue, shown)
        else:
            argilla.write_argilla(directory, queue, shown, f"{run.resolve().name}-{queue}")
        with jsonlines.open(directory / KEY, "w", compact=True) as key:
            key.write_all({"item": i.id, "record": i.record, "label": i.label} for i in items)
        (directory / CARD).write_text(_card(run, tool, queue, len(items), available), "utf-8")
    return ReviewExport(out, len(items), available)


def _first(run: Path, queue: Queue, limit: int | None) -> tuple[list[ReviewItem], int]:
    """The items with the lowest ids, each once, and how many there are."""
    seen: set[str] = set()

    def each_once() -> Iterator[ReviewItem]:
        for item in review_items(run, queue):
            if item.id not in seen:
                seen.add(item.id)
                yield item

    return heapq.nsmallest(limit or sys.maxsize, each_once(), key=lambda item: item.id), len(seen)


_IMPORT = {
    "label-studio": """\
1. Make a project; under Settings, Labeling Interface, Code, paste `labeling_config.xml`.
2. Import `tasks.json`.
3. When it is reviewed, export as JSON or JSON-MIN.""",
    "argilla": """\
1. `rg.Dataset.from_disk("THIS DIRECTORY", workspace="YOURS")` makes the dataset.
2. When it is reviewed, `dataset.to_disk("reviewed")`.""",
}


_ASKED = {
    "pairs": "which of two replies is better",
    "escalated": "whether a reply breaks a principle",
    "ratings": "how well a reply keeps a principle, from 1 to 5 and why",
}


def _card(run: Path, tool: Tool, queue: Queue, items: int, available: int) -> str:
    asked = _ASKED[queue]
    return f"""\
# {run.resolve().name}: {queue} to review in {tool}

{items:,} of {available:,} questions, {asked}, exported from a run of Solon.

{_IMPORT[tool]}

`solon import-reviews FILE --run {run}` then brings the verdicts back.

`key.jsonl` holds the order of the questions and the present label of each: keep it from reviewers.
What models wrote may be harmful; tell reviewers before they begin.
"""
