"""RLOO and GRPO against DPO and KTO, each after one SFT and under one budget, from preferences of people.

    python -m scripts.bench.arms --tokens 150000 --out runs/arms

The shipped recipe `rlhf-cpu` with four arms, on a random Llama of 0.2 million parameters that has the
words of its 400 rows as tokens. What is preferred is planted: a short answer that ends by asking back,
counted by checks on held-out prompts. The same command goes on where it was interrupted.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jsonlines
import yaml
from rich.console import Console
from rich.table import Table

from constitution.reading import read_json
from tests.engine.tiny_model import build_tiny_model
from training.recipe.schema import load_recipe

__all__ = ["main"]

_TINY: dict[str, Any] = {
    "model": "model",
    "held_out": 0.25,
    "train": ["sft"],
    "arms": {
        "rloo": ["reward-model", "rloo"],
        "grpo": ["reward-model", "grpo"],
        "dpo": ["dpo"],
        "kto": ["kto"],
    },
    "sft": {"epochs": 9, "batch_size": 64, "max_length": 128, "learning_rate": 1e-2},
    "reward_model": {"epochs": 4, "batch_size": 32, "max_length": 128, "learning_rate": 3e-3},
}
_ONLINE = {"epochs": 40, "batch_size": 64, "max_answer": 32, "max_length": 128, "beta": 0.02}
_DIRECT = {"epochs": 40, "batch_size": 64, "max_length": 128}
_CONSTANT = {
    "schedule": "constant",
    "warmup": 0.0,
}  # where a budget ends a training is not known before
_ARMS = {
    "rloo": _ONLINE | _CONSTANT | {"learning_rate": 2e-3, "generations": 4},
    "grpo": _ONLINE | _CONSTANT | {"learning_rate": 2e-3, "generations": 8},
    "dpo": _DIRECT | _CONSTANT | {"learning_rate": 1e-3, "beta": 0.3, "sft_weight": 1.0},
    "kto": _DIRECT | _CONSTANT | {"learning_rate": 1e-3, "beta": 0.3},
}


def write_recipe(folder: Path, tokens: int, words: Iterable[str] = ()) -> Path:
    """The model, which has the rows' and further words as tokens, and the recipe that trains it."""
    recipe, file = load_recipe("rlhf-cpu")
    given = yaml.safe_load(file.read_text(encoding="utf-8"))
    rows = (file.parent / given["preferences"]).resolve()
    if not (folder / "model").exists():
        with jsonlines.open(rows) as read:
            said = [row["chosen"].replace("Human:", "").replace("Assistant:", "") for row in read]
        build_tiny_model(folder / "model", lines=[*said, *words], vocabulary=800, hidden_size=64)
    places = {"constitution": str((file.parent / str(recipe.constitution)).resolve())}
    places |= {"preferences": str(rows), "demonstrations": str(rows)}
    made = given | places | _TINY | _ARMS | {"budget": {"tokens": tokens}}
    written = folder / "recipe.yaml"
    written.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
    return written


def table_of(folder: Path) -> Table:
    """Principles broken on held-out prompts, and what came along."""
    results = read_json(folder / "run" / "evaluate" / "results.json", dict)
    columns = (
        "",
        "broken",
        "against SFT",
        "tokens spent",
        "tokens an answer",
        "nats from the base",
    )
    table = Table(*columns, title="principles broken on held-out prompts, 95 % intervals")
    for model in results["models"]:
        change = model.get("change_against") or {}
        signs = {sign["name"]: sign["estimate"]["value"] for sign in model["signs"]}
        table.add_row(
            model["name"],
            _percent(model["violations"]),
            _percent(change) if change else "",
            f"{(model.get('cost') or {}).get('tokens', 0):,}",
            f"{model['answers']['mean_tokens']:.1f}",
            f"{signs.get('kl_from_base', 0.0):.0f}",
        )
    return table


def _percent(found: dict[str, Any]) -> str:
    return f"{found['value']:.1%} [{found['low']:.1%}, {found['high']:.1%}]"


def train_and_show(
    description: str | None,
    out: str,
    write: Callable[[Path, int], Path],
    table_of: Callable[[Path], Table],
    tokens: int = 150_000,
) -> None:
    """A command: `write` the recipe into a folder, run it into the folder's `run`, print the table.
    Each arm may spend `tokens` unless the command line says another number."""
    asked = argparse.ArgumentParser(description=description)
    asked.add_argument("--tokens", type=int, default=tokens, help="that each arm may spend")
    asked.add_argument("--out", type=Path, default=Path(out))
    given = asked.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    recipe = write(given.out, given.tokens)
    command = [sys.executable, "-m", "scripts.solon", "run", str(recipe), "--out"]
    subprocess.run([*command, str(given.out / "run")], check=True)
    Console().print(table_of(given.out))


def main() -> None:
    """Train and evaluate, and print the table."""
    train_and_show(__doc__, "runs/arms", write_recipe, table_of)


if __name__ == "__main__":
    main()
