"""Rows with people's preferences among them, and without those of prompts that are set aside."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.messages import to_dicts
from engine.prompts.sources import open_prompts
from training.data.datasets import Row
from training.data.split import prompt_digest

__all__ = ["beside_peoples", "without_prompts"]


def beside_peoples(
    peoples: Iterable[Row], weight: int, rows: Iterable[Row], skipped: Counter[str]
) -> Iterator[Row]:
    """People's rows, each `weight` times, then those of `rows` about other prompts; the rest is
    counted in `skipped`."""
    decided = set()
    for row in peoples:
        decided.add(prompt_digest(row["prompt"]))
        yield from [row] * weight
    for row in rows:
        if prompt_digest(row["prompt"]) not in decided:
            yield row
        else:
            skipped["people preferred otherwise or the same"] += 1


def without_prompts(
    rows: Iterable[Row], leave_out: Path | None, skipped: Counter[str]
) -> Iterator[Row]:
    """Rows whose prompts are not in the file `leave_out`; the others are counted in `skipped`."""
    prompts = open_prompts(leave_out) if leave_out else ()
    aside = {prompt_digest(to_dicts(prompt.messages)) for prompt in prompts}
    for row in rows:
        if aside and prompt_digest(row["prompt"]) in aside:
            skipped["held out"] += 1
        else:
            yield row
