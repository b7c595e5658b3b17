"""A file of prompts as two: one to train on and one to hold out, no prompt on both sides."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonlines

from constitution.problems import InputError, Problem
from engine.messages import to_dicts
from engine.prompts.sources import Prompt, PromptSource
from training.data.split import is_held_out, prompt_digest

__all__ = ["SplitCounts", "split_prompts"]


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Prompts on each side; `overlapping` ones were asked on both and are only held out."""

    train: int
    held_out: int
    overlapping: int


def split_prompts(prompts: PromptSource, held_out: PromptSource | float, out: Path) -> SplitCounts:
    """Write `out/train.jsonl` and `out/held_out.jsonl`.

    `held_out` is another file, whose prompts are taken out of the first, or the share of the first
    that a hash of each prompt puts aside. Raises InputError when a side is left empty.
    """
    out.mkdir(parents=True, exist_ok=True)
    if isinstance(held_out, float):
        share = held_out
        train = _write(out / "train.jsonl", (p for p in prompts if not _aside(p, share)))
        aside = _write(out / "held_out.jsonl", (p for p in prompts if _aside(p, share)))
        counts = SplitCounts(train, aside, 0)
    else:
        digests = {prompt_digest(to_dicts(prompt.messages)) for prompt in held_out}
        kept = (p for p in prompts if prompt_digest(to_dicts(p.messages)) not in digests)
        train = _write(out / "train.jsonl", kept)
        aside = _write(out / "held_out.jsonl", held_out)
        counts = SplitCounts(train, aside, prompts.count - train)
    if not counts.train or not counts.held_out:
        side = "held out" if counts.train else "left to train on"
        remedy = "change the share, or give more prompts"
        raise InputError(Problem(prompts.path, f"no prompt is {side}", remedy))
    return counts


def _aside(prompt: Prompt, share: float) -> bool:
    return is_held_out(to_dicts(prompt.messages), share)


def _write(path: Path, prompts: Iterable[Prompt]) -> int:
    unfinished, count = path.with_name(path.name + ".part"), 0
    with jsonlines.open(unfinished, "w", compact=True) as lines:
        for prompt in prompts:
            lines.write(_row(prompt))
            count += 1
    unfinished.replace(path)
    return count


def _row(prompt: Prompt) -> dict[str, Any]:
    return {
        **prompt.extra,
        "id": prompt.id,
        "prompt": to_dicts(prompt.messages),
        "tags": list(prompt.tags),
    }
