"""The rows to train on: read, checked, split, tokenized, and what is left out counted."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from constitution.problems import InputError, Problem
from engine.messages import to_dicts
from engine.prompts.files import open_prompt_file
from engine.prompts.rows import BadPrompt, Columns, parse_prompt
from training.data.split import is_held_out
from training.trainers.config import TrainingConfig

__all__ = ["Rows", "read_rows"]

Shape = Literal["sft", "preference", "prompt"]
ANSWERS: dict[Shape, tuple[str, ...]] = {
    "sft": ("completion",),
    "preference": ("chosen", "rejected"),
    "prompt": (),
}
_HOW = {
    "sft": "`solon export --format trl-sft` writes such rows",
    "preference": "`solon export --format trl-preference` writes such rows",
    "prompt": "`solon export --format trl-prompt` writes such rows",
}


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
    Raises InputError at the first row that has not the columns of `shape`, and if no row is left.
    """
    train_file, test_file = _files(config)
    dropped: Counter[str] = Counter()
    train = list(_read(train_file, shape, dropped))
    test = list(_read(test_file, shape, dropped)) if test_file else []
    if not test_file and config.eval_share:
        test = [row for row in train if is_held_out(row["prompt"], config.eval_share)]
        train = [row for row in train if not is_held_out(row["prompt"], config.eval_share)]
        if not train:
            train, test = test, []
    if not train:
        told = f" ({_counted(dropped)})" if dropped else ""
        raise InputError(Problem(train_file, f"has no row to train on{told}", _HOW[shape]))
    hashes = Counter(row["constitution"] for row in train if row.get("constitution"))
    constitutions = tuple(name for name, _ in hashes.most_common())
    return Rows(train, test, _digest(train, test), constitutions, dropped)


def _files(config: TrainingConfig) -> tuple[str, str | None]:
    directory = Path(config.dataset).expanduser()
    if not (directory / "train.jsonl").is_file():
        return config.dataset, config.test_dataset
    test = directory / "test.jsonl"
    found = str(test) if test.is_file() else None
    return str(directory / "train.jsonl"), config.test_dataset or found


def _read(source: str, shape: Shape, dropped: Counter[str]) -> Iterator[dict[str, Any]]:
    file = open_prompt_file(source)
    for line in file.read():
        where = file.where(line)
        if line.value is None:
            raise InputError(Problem(where, line.what, line.remedy))
        row = {**line.value, "prompt": _prompt(line.value, where, shape)}
        for column in ANSWERS[shape]:
            row[column] = _answer(line.value, column, where, shape)
        if any(not row[column][0]["content"].strip() for column in ANSWERS[shape]):
            dropped["empty answer"] += 1
        elif shape == "preference" and row["chosen"] == row["rejected"]:
            dropped["chosen and rejected are the same"] += 1
        else:
            row["truncated"] = _truncated(line.value, where)
            row["probability"] = _probability(line.value, where) if shape == "preference" else 1.0
            yield row


def _prompt(row: Mapping[str, Any], where: str, shape: Shape) -> list[dict[str, str]]:
    try:
        if "prompt" not in row:
            raise BadPrompt(f"has no 'prompt'; it has {_columns(row)}", _HOW[shape])
        asked = {name: row[name] for name in ("prompt", "system") if row.get(name)}
        return to_dicts(parse_prompt(asked, Columns()).messages)
    except BadPrompt as bad:
        raise InputError(Problem(where, bad.what, bad.remedy)) from bad


def _answer(row: Mapping[str, Any], column: str, where: str, shape: Shape) -> list[dict[str, str]]:
    if column not in row:
        what = f"has no {column!r}; it has {_columns(row)}"
        raise InputError(Problem(where, what, _HOW[shape]))
    value = row[column]
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], Mapping):
        value = value[0].get("content")
    if not isinstance(value, str):
        remedy = "give a text, or a list of one assistant message"
        raise InputError(Problem(where, f"{column!r} is no answer", remedy))
    return [{"role": "assistant", "content": value}]


def _probability(row: Mapping[str, Any], where: str) -> float:
    """The judge's that `chosen` is the better; rows of other origin may leave it out."""
    value = row.get("probability", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        remedy = "give the judge's probability that `chosen` is the better, from 0 to 1"
        raise InputError(Problem(where, f"'probability' is {value!r}", remedy))
    return float(value)


def _truncated(row: Mapping[str, Any], where: str) -> bool:
    """Whether an answer ran into its token limit, so that its end is none to learn."""
    value = row.get("truncated", False)
    if not isinstance(value, bool):
        raise InputError(Problem(where, f"'truncated' is {value!r}", "give true or false"))
    return value


def _columns(row: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, row)) or "none"


def _counted(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())


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
