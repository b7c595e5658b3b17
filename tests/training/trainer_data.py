"""Small data that can be learned: rows with a planted rule, and settings that learn it in seconds."""

import json
import random
from pathlib import Path
from typing import Any

__all__ = ["preference_rows", "settings", "sft_rows", "write_rows"]

_WORDS = "red green blue cat dog bird runs jumps sleeps sings".split()


def _words(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(_WORDS, k=count))


def _turn(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def sft_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Every answer is the same few words, whatever was asked."""
    rng = random.Random(seed)
    return [
        {
            "prompt": _turn("user", _words(rng, 3)),
            "completion": _turn("assistant", "The cat sings."),
            "id": str(number),
            "constitution": "0123456789abcdef",
        }
        for number in range(count)
    ]


def preference_rows(count: int, seed: int = 0, **columns: Any) -> list[dict[str, Any]]:
    """The chosen answer begins with Yes, the rejected one with Nay; nothing else differs."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        rest = _words(rng, rng.randint(1, 3))
        rows.append({
            "prompt": _turn("user", _words(rng, 2)),
            "chosen": _turn("assistant", f"Yes {rest}"),
            "rejected": _turn("assistant", f"Nay {rest}"),
            "probability": 0.9,
            "id": str(number),
            "constitution": "0123456789abcdef",
            **columns,
        })
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """As JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def settings(model: Path, dataset: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """For a tiny model: a learning rate that would ruin a large one."""
    return {
        "model": str(model),
        "dataset": str(dataset),
        "out": str(out),
        "learning_rate": 3e-3,
        "batch_size": 8,
        "max_length": 64,
        "eval_share": 0.2,
        **changes,
    }
