"""Prompts to train on and prompts to hold out: a hash of the prompt decides, not its row or id.

So a prompt that occurs twice, under two ids or in two data sets, is never on both sides, rows can
be streamed, and adding rows moves none of the others.
"""

import filecmp
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Annotated, Any

import jsonlines
from pydantic import BeforeValidator, Field

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem
from constitution.typed_yaml import Settings
from engine.messages import to_dicts
from engine.prompts.sources import Prompt, PromptSource
from engine.runs.config import ConstitutionName, PromptsFile
from engine.setting_fields import Seed
from engine.settings import StakeholderChoice, for_stakeholder
from engine.storage.atomic import check_file, replacing
from training.data.value_header import ValueHeader

__all__ = ["HeldOut", "SplitConfig", "SplitCounts", "is_held_out", "prompt_digest", "split_prompts"]


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
    constitution: ConstitutionName | None = Field(
        default=None, description="Whose stakeholders a value header names."
    )
    stakeholder: StakeholderChoice = None
    value_header: bool = Field(
        default=False, description="Say each prompt's stakeholder in its system turn."
    )
    seed: Seed = 0

    def header(self) -> ValueHeader | None:
        """What is put before each prompt. Raises InputError for a stakeholder that is not there."""
        if not self.value_header:
            return None
        if self.constitution is None or self.stakeholder is None:
            told = "is set without a constitution and a stakeholder"
            raise InputError(Problem("value_header", told, "give both"))
        rules = for_stakeholder(load_constitution(self.constitution), self.stakeholder)
        return ValueHeader(rules, self.stakeholder, self.seed)


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """Prompts on each side; `overlapping` ones were asked on both and are only held out."""

    train: int
    held_out: int
    overlapping: int


def split_prompts(
    prompts: PromptSource,
    held_out: PromptSource | float,
    out: Path,
    header: ValueHeader | None = None,
    *,
    overwrite: bool = False,
) -> SplitCounts:
    """Write `out/train.jsonl` and `out/held_out.jsonl`, each prompt with its value header.

    `held_out` is another file, whose prompts are taken out of the first, or the share of the first
    that a hash of each prompt puts aside. Raises InputError when a side is left empty, where one of
    the two is a file that is read, and, without `overwrite`, where one is there with other rows:
    neither is then written.
    """
    train, aside = out / "train.jsonl", out / "held_out.jsonl"
    others = () if isinstance(held_out, float) else held_out
    digests = {prompt_digest(to_dicts(prompt.messages)) for prompt in others}

    def is_aside(prompt: Prompt) -> bool:
        messages = to_dicts(prompt.messages)
        if isinstance(held_out, float):
            # From the other end than the rows that `is_held_out` sets aside of those that are left.
            return not is_held_out(messages, 1 - held_out)
        return prompt_digest(messages) in digests

    def headed(given: Iterable[Prompt]) -> Iterable[Prompt]:
        return map(header.on, given) if header else given

    for path in (train, aside):
        check_file(path, True, *prompts.files, *(others.files if others else ()))
    out.mkdir(parents=True, exist_ok=True)
    with replacing(train) as kept, replacing(aside) as apart:
        left = _write(kept, headed(p for p in prompts if not is_aside(p)))
        held = _write(apart, headed(others or filter(is_aside, prompts)))
        if not left or not held:
            side = "held out" if left else "left to train on"
            remedy = "change the share, or give more prompts"
            raise InputError(Problem(prompts.path, f"no prompt is {side}", remedy))
        for path, draft in ((train, kept), (aside, apart)):
            same = path.exists() and filecmp.cmp(draft.name, path, shallow=False)
            check_file(path, overwrite or same)
    return SplitCounts(left, held, prompts.count - left if others else 0)


def _write(file: IO[bytes], prompts: Iterable[Prompt]) -> int:
    count = 0
    with jsonlines.Writer(file, compact=True) as lines:
        for count, prompt in enumerate(prompts, 1):  # noqa: B007  it counts what was written
            lines.write({
                **prompt.extra,
                "id": prompt.id,
                "prompt": to_dicts(prompt.messages),
                "tags": list(prompt.tags),
            })
    file.flush()
    return count


_BUCKETS = 2**64


def is_held_out(prompt: str | Sequence[dict[str, Any]], share: float) -> bool:
    """Whether a prompt, a text or messages, is among the `share` (0 to 1) that is held out."""
    return prompt_digest(prompt) < share * _BUCKETS


def prompt_digest(prompt: str | Sequence[dict[str, Any]]) -> int:
    """64 bits of what the turns of a prompt say; a text is one user turn.

    Upper case, white space and the system turn do not count: a question asked twice, under two
    system prompts or with a stray space, is one question.
    """
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    said = [
        (turn["role"], " ".join(turn["content"].casefold().split()))
        for turn in turns
        if turn["role"] != "system"
    ]
    text = json.dumps(said).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest())
