"""The rows to train on: read, checked, split, tokenized, and what is left out counted."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from training.data.readers import Shape, read_training_rows
from training.data.split import is_held_out
from training.trainers.config import TrainingConfig

__all__ = ["Rows", "read_rows"]


@dataclass(slots=True)
class Rows:
    """Rows to train on and to test on, with messages where TRL wants them.

    `digest` is of everything that training sees; `constitutions` are the hashes in the rows, most
    frequent first; `dropped` counts rows that cannot be used, by reason.
    """

    train: list[dict[str, Any]]
    test: list[dict[str, Any]]
    digest: str
    constitutions: tuple[str, ...]
    dropped: Counter[str] = field(default_factory=Counter)


def read_rows(config: TrainingConfig, shape: Shape) -> Rows:
    """The rows of `config.dataset` and what is held out to test on.

    That is `test_dataset`, or test.jsonl in the dataset's directory, or `eval_share` of the prompts.
    Raises InputError as `read_training_rows` does.
    """
    train_file, test_file = config.dataset, config.test_dataset
    exported = Path(config.dataset).expanduser() / "train.jsonl"
    if exported.is_file():
        beside = exported.with_name("test.jsonl")
        train_file, test_file = (
            str(exported),
            test_file or (beside.is_file() and str(beside)) or None,
        )
    dropped: Counter[str] = Counter()
    train, test = (
        [
            {
                **row.columns,
                **row.messages(shape),
                "truncated": row.truncated,
                "probability": row.probability,
            }
            for row in (read_training_rows(file, shape, dropped) if file else ())
        ]
        for file in (train_file, test_file)
    )
    if not test_file and config.eval_share:
        test = [row for row in train if is_held_out(row["prompt"], config.eval_share)]
        train = [row for row in train if not is_held_out(row["prompt"], config.eval_share)]
        if not train:
            train, test = test, []
    hashes = Counter(row["constitution"] for row in train if row.get("constitution"))
    constitutions = tuple(name for name, _ in hashes.most_common())
    return Rows(train, test, _digest(train, test), constitutions, dropped)


def _digest(*parts: Sequence[Mapping[str, Any]]) -> str:
    """16 hex digits of what is trained and tested on, in its order."""
    digest = blake2b(digest_size=8)
    for part in parts:
        for row in part:
            seen = [row.get(name) for name in ("prompt", "completion", "chosen", "rejected")]
            told = (row["truncated"], row["probability"], row.get("id"), row.get("tags"))
            text = json.dumps([*seen, *told])
            digest.update(text.encode() + b"\n")
        digest.update(b"\0")
    return digest.hexdigest()
