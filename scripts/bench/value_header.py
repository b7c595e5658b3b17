"""One policy for two stakeholders: does each header bring what its profile wants?

    python -m scripts.bench.value_header --out runs/value-header

SFT and RLOO on the tiny model of `scripts.bench.arms`, prompts divided between two profiles: `curious` is
paid for an answer that ends by asking back, `plain` for one that does not. The held-out prompts are then
asked under both headers, before and after RLOO.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import yaml
from rich.table import Table

from constitution.loader import load_constitution
from engine import Prompt, Request, Sampling, open_generator, open_prompts
from engine.messages import Message
from engine.shares import Estimate
from scripts.bench.arms import train_and_show, write_recipe
from training.data.value_header import ValueHeader
from training.stats.intervals import paired_difference

__all__ = ["main"]

_PROFILES = {
    "curious": "They like to be asked back.",
    "plain": "They do not like to be asked back.",
}
_CHANGES = {
    "arms": {},
    "train": ["sft", "rloo"],
    "constitution": "two.yaml",
    "stakeholder": dict.fromkeys(_PROFILES, 0.5),
    "value_header": True,
    "rewards": [
        {"check": "asks-back", "weights": {"plain": 0.0}},
        {"check": "states", "weights": {"curious": 0.0}},
        {"check": "short", "below": 1.0},
    ],
}
_STATES = {
    "id": "states",
    "statement": "The reply ends without a question.",
    "check": {"ends_with_question": False},
}
_SAMPLES = 4


def write_inputs(folder: Path, tokens: int) -> Path:
    """The recipe and its constitution of two profiles."""
    headers = (
        f"You answer for this stakeholder: {name}. {told}" for name, told in _PROFILES.items()
    )
    written = write_recipe(folder, tokens, [line for line in headers for _ in range(20)])
    recipe = yaml.safe_load(written.read_text(encoding="utf-8"))
    rules = yaml.safe_load(Path(recipe["constitution"]).read_text(encoding="utf-8"))
    rules["principles"].append(_STATES)
    rules["stakeholders"] = {
        name: {"description": told, "weights": {("states", "asks-back")[name == "plain"]: 0}}
        for name, told in _PROFILES.items()
    }
    (folder / "two.yaml").write_text(yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
    recipe["rloo"] |= {"beta": 0.1, "learning_rate": 1e-3}
    written.write_text(yaml.safe_dump(recipe | _CHANGES, sort_keys=False), encoding="utf-8")
    return written


async def asks_back(model: Path, prompts: Sequence[Prompt], system: str) -> dict[str, float]:
    """Of each prompt's answers, the share that ends with a question."""
    generator = open_generator(f"transformers:{model}")

    async def share(prompt: Prompt) -> float:
        told = (Message("system", system), *prompt.messages)
        asked = [Request(told, Sampling(max_tokens=32), seed) for seed in range(_SAMPLES)]
        given = await asyncio.gather(*map(generator.generate, asked))
        return fmean(answer.text.rstrip().endswith("?") for answer in given)

    await generator.start()
    try:
        shares = await asyncio.gather(*map(share, prompts))
    finally:
        await generator.close()
    return {prompt.id: found for prompt, found in zip(prompts, shares, strict=True)}


def table_of(folder: Path) -> Table:
    """A row for each model: its answers under both headers, and the difference."""
    rules = load_constitution(folder / "two.yaml")
    header = ValueHeader(rules, "curious")
    held_out = list(open_prompts(folder / "run" / "prompts" / "held_out.jsonl"))
    prompts = [
        replace(each, messages=tuple(turn for turn in each.messages if turn.role != "system"))
        for each in held_out
    ]
    table = Table("", *(f"asked back, {name}" for name in _PROFILES), "difference")
    for stage in ("sft", "rloo"):
        model = folder / "run" / stage / "model"
        curious, plain = (
            asyncio.run(asks_back(model, prompts, header.text(name))) for name in _PROFILES
        )
        shares = (f"{fmean(found.values()):.1%}" for found in (curious, plain))
        table.add_row(stage, *shares, _told(paired_difference(curious, plain)))
    return table


def _told(found: Estimate | None) -> str:
    return "" if found is None else f"{found.value:+.1%} [{found.low:+.1%}, {found.high:+.1%}]"


def main() -> None:
    """Train, and print the table."""
    train_and_show(__doc__, "runs/value-header", write_inputs, table_of, 700_000)


if __name__ == "__main__":
    main()
