"""What training on sampled answers is tried on: a tiny random model, and a judge that wants vowels."""

import json
from pathlib import Path
from typing import Any, TypeVar

from tests.engine.tiny_model import build_tiny_model
from training.trainers.online_config import OnlineTrainingConfig

__all__ = ["build_reward_model", "config_of", "write_inputs"]

_Config = TypeVar("_Config", bound=OnlineTrainingConfig)

_JUDGE = """
rules:
  - {match: '(?s)<reply>(.*[aeiou]){4}.*</reply>', probabilities: [0.0, 1.0]}
  - {match: '(?s)<reply>(.*[aeiou]){2}.*</reply>', probabilities: [0.5, 0.5]}
  - {match: '(?s)<reply>.*[aeiou].*</reply>', probabilities: [0.75, 0.25]}
  - {probabilities: [1.0, 0.0]}
"""
"""A random model writes vowels now and then."""
_RULES = """
name: vowels
principles:
  - {id: vowels, statement: The assistant uses vowels.}
"""


def write_inputs(folder: Path, prompts: list[str]) -> None:
    """Into `folder`: the model `base`, its prompts, the judge and the constitution."""
    build_tiny_model(folder / "base", hidden_size=64)
    (folder / "judge.yaml").write_text(_JUDGE, encoding="utf-8")
    (folder / "rules.yaml").write_text(_RULES, encoding="utf-8")
    rows = [
        {"prompt": [{"role": "user", "content": prompt}], "id": f"p{number}"}
        for number, prompt in enumerate(prompts)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")


def config_of(kind: type[_Config], folder: Path, out: str, **changes: Any) -> _Config:
    """A training in `folder` on what `write_inputs` left there, into its directory `out`."""
    settings = {
        "model": str(folder / "base"),
        "dataset": str(folder / "rows.jsonl"),
        "out": str(folder / out),
        "judge": f"scripted:{folder / 'judge.yaml'}",
        "constitution": str(folder / "rules.yaml"),
        "schedule": "constant",
        "warmup": 0.0,
        "batch_size": 32,
        "max_length": 64,
        "max_answer": 12,
        "length_penalty": 0.0,
        "non_answer_penalty": 0.0,
    }
    return kind.model_validate(settings | changes)


def build_reward_model(folder: Path) -> None:
    """A random one, `reward`, of the shape of `base`."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    shape = LlamaConfig.from_pretrained(folder / "base", num_labels=1)
    torch.manual_seed(0)
    LlamaForSequenceClassification(shape).save_pretrained(folder / "reward")
    tokenizer.save_pretrained(folder / "reward")
