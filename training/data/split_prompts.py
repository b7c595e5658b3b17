"""A file of prompts as two: one to train on and one to hold out, no prompt on both sides."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jsonlines
from pydantic import BeforeValidator, Field

from constitution.problems import InputError, Problem
from constitution.typed_yaml import Settings
from engine.messages import to_dicts
from engine.prompts.sources import Prompt, PromptSource
from engine.runs.config import PromptsFile
from engine.storage.atomic import replacing
from training.data.split import is_held_out, prompt_digest

__all__ = ["HeldOut", "SplitConfig", "SplitCounts", "split_prompts"]


def _share(held_out: Any) -> Any:
    """A share that the command line gives, where a file may stand, as a number."""
    named = held_out.get("file") if isinstance(held_out, dict) and len(held_out) == 1 else held_out
    try:
        return float(named) if isinstance(named, str) else held_out
    except ValueError:
        return held_out


HeldOut = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | PromptsFile,
    BeforeValidator(_share),
    Field(description="The share of the prompts to hold out, or a file of others."),
]


class SplitConfig(Settings):
    """What `solon split` is given."""

    prompts: PromptsFile
    held_out: HeldOut
    out: str = Field(description="Directory to write.")


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
    count = 0
    with replacing(path) as file, jsonlines.Writer(file, compact=True) as lines:
        for prompt in prompts:
            lines.write(_row(prompt))
            count += 1
    return count


def _row(prompt: Prompt) -> dict[str, Any]:
    return {
        **prompt.extra,
        "id": prompt.id,
        "prompt": to_dicts(prompt.messages),
        "tags": list(prompt.tags),
    }
