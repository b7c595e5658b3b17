"""The rows to train on: read, checked, split, tokenized, and what is left out counted."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from training.data.readers import Shape, TrainingRow, read_training_rows
from training.data.split import is_held_out
from training.trainers.config import RowTrainingConfig, TrainingConfig

__all__ = ["Rows", "read_rows"]


@dataclass(slots=True)
class Rows:
    """Rows to train on and to test on, with messages where TRL wants them.

    Each has `prompt` and the columns of its shape, and `truncated`, `probability`, `margin` (0 where
    nobody rated), `weight` and `given` (`training.data.shapes` says what they are); unpaired ones a
    `label`.

    `digest` is of everything that training sees; `constitutions` are the hashes in the rows, most
    frequent first; `dropped` counts rows that cannot be used, and `noted` those used otherwise than
    as they stand, by reason.
    """

    train: list[dict[str, Any]]
    test: list[dict[str, Any]]
    digest: str
    constitutions: tuple[str, ...]
    dropped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)


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
    rows = Rows([], [], "", ())
    train, test = (
        [_learnable(row, config, shape, rows.noted) for row in _read(file, shape, rows.dropped)]
        for file in (train_file, test_file)
    )
    if not test_file and config.eval_share:
        test = [row for row in train if is_held_out(row["prompt"], config.eval_share)]
        train = [row for row in train if not is_held_out(row["prompt"], config.eval_share)]
        if not train:
            train, test = test, []
    hashes = Counter(row["constitution"] for row in train if row.get("constitution"))
    constitutions = tuple(name for name, _ in hashes.most_common())
    return replace(
        rows, train=train, test=test, digest=_digest(train, test), constitutions=constitutions
    )


def _read(file: str | None, shape: Shape, dropped: Counter[str]) -> Iterable[TrainingRow]:
    return read_training_rows(file, shape, dropped, tools=shape != "prompt") if file else ()


def _learnable(
    row: TrainingRow, config: TrainingConfig, shape: Shape, noted: Counter[str]
) -> dict[str, Any]:
    example = row.example
    learns = isinstance(config, RowTrainingConfig) and config.reasoning == "train"
    if any("reasoning_content" in reply for reply in example.replies):
        noted["reasoning learned" if learns else "reasoning removed"] += 1
    thumb = {} if example.label is None else {"label": example.label}
    return {
        **row.columns,
        **row.messages(shape, reasoning=learns),
        "truncated": row.truncated,
        "probability": example.probability,
        "margin": example.margin or 0.0,
        "weight": example.weight,
        "given": example.given,
        **thumb,
    }


_USUAL = {"margin": 0.0, "weight": 1.0, "label": None, "tools": None}


def _digest(*parts: Sequence[Mapping[str, Any]]) -> str:
    """16 hex digits of what is trained and tested on, in its order."""
    digest = blake2b(digest_size=8)
    for part in parts:
        for row in part:
            seen = [row.get(name) for name in ("prompt", "completion", "chosen", "rejected")]
            told = [row["truncated"], row["probability"], row.get("id"), row.get("tags")]
            # What few rows have counts where it is there, so that the others' digest stays.
            more = [[n, row[n]] for n, usual in _USUAL.items() if row.get(n, usual) != usual]
            text = json.dumps([*seen, *told, *more], default=str)
            digest.update(text.encode() + b"\n")
        digest.update(b"\0")
    return digest.hexdigest()
