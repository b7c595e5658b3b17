"""Rows as tokens, in the columns that TRL's trainers take as they are.

What is learned is the answer and the tokens that end its turn, after the very prompt that will be
asked (`training.trainers.chat_tokens`). Rows too long to be learned from whole are left out and
counted; nothing is cut. Of a row that is `truncated`, whose answer ran into a token limit when it was
sampled, the end of the turn is left out: it is learned as far as it goes, and not that it stops there. Rows are sorted by
length, so that whatever reads them in order pads little; training draws its own order.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from engine.storage.atomic import write_json_atomic
from training.data.rows import Rows
from training.trainers.chat_tokens import REFUSED, ChatTokens, Exchange, turns_for

__all__ = [
    "ChatTokens",
    "Encode",
    "Encoded",
    "Tokenized",
    "preference_tokens",
    "reward_tokens",
    "sft_tokens",
    "tokenize",
    "turns_for",
    "unpaired_tokens",
]

_BLOCK = 1000
_TOO_LONG = "longer than max_length"

Encoded = Iterator[tuple[dict[str, Any] | str | None, int]]
"""Columns of what each row teaches, and tokens of its longest sequence; or why the chat template cannot
show it (None: it refuses it)."""
Encode = Callable[[list[dict[str, Any]], "ChatTokens"], Encoded]


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Data sets on disk. `lengths` are of the training rows; `dropped` counts rows by reason."""

    train: Any
    test: Any | None
    lengths: list[int]
    dropped: Mapping[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by split."""
        return {"train": len(self.train), "test": len(self.test) if self.test else 0}


def sft_tokens(
    rows: list[dict[str, Any]], chat: ChatTokens, turns: Literal["last", "all"] = "last"
) -> Encoded:
    """`input_ids`, and `labels` that are -100 but where the assistant speaks: of all its turns that are
    not in the prompt, or of the last.

    Turns are learned in one sequence where each is asked for in the context of those before it, as
    most chat templates do; else in several.
    """
    lessons = [[*_turns(row)] if turns == "all" else [row] for row in rows]
    found = iter(chat.exchanges([one for row in lessons for one in row], "completion"))
    for row in lessons:
        exchanges = [next(found) for _ in row]
        refused = next((one for one in exchanges if isinstance(one, str)), None)
        if refused is not None:
            yield refused, 0
            continue
        for ids, labels in _joined(one for one in exchanges if not isinstance(one, str)):
            yield {"input_ids": ids, "labels": labels}, len(ids)


def _turns(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The row once for each turn of the assistant that is not in its prompt, the last in the end."""
    for at, turn in enumerate(row["prompt"]):
        if at >= row.get("given", 0) and turn["role"] == "assistant":
            yield {**row, "prompt": row["prompt"][:at], "completion": [turn], "truncated": False}
    yield row


def _joined(exchanges: Iterable[Exchange]) -> list[tuple[list[int], list[int]]]:
    """Ids and labels of sequences, of which each goes on while the next prompt does."""
    sequences: list[tuple[list[int], list[int]]] = []
    for one in exchanges:
        ids, labels = sequences[-1] if sequences else ([], [])
        if sequences and one.prompt[: len(ids)] == ids:
            sequences.pop()
        else:
            ids, labels = [], []
        asked = [-100] * (len(one.prompt) - len(ids))
        sequences.append((one.whole, [*labels, *asked, *one.answer]))
    return sequences


def preference_tokens(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`prompt_ids`, `chosen_ids` and `rejected_ids`, as DPO takes them, `probability` and `weight`."""
    for row, chosen, rejected in _chosen_and_rejected(rows, chat):
        if isinstance(chosen, str) or isinstance(rejected, str):
            yield next(one for one in (chosen, rejected) if isinstance(one, str)), 0
            continue
        columns = {
            "prompt_ids": chosen.prompt,
            "chosen_ids": chosen.answer,
            "rejected_ids": rejected.answer,
            "probability": row["probability"],
            "weight": row.get("weight", 1.0),
        }
        yield columns, max(len(chosen.whole), len(rejected.whole))


def reward_tokens(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`chosen_ids` and `rejected_ids` of whole conversations, `probability`, `margin`, `weight`,
    the characters of each answer as `chosen_length` and `rejected_length`, and the `kind` of pair."""
    for row, chosen, rejected in _chosen_and_rejected(rows, chat):
        if isinstance(chosen, str) or isinstance(rejected, str):
            yield next(one for one in (chosen, rejected) if isinstance(one, str)), 0
            continue
        columns = {
            "chosen_ids": chosen.whole,
            "rejected_ids": rejected.whole,
            "probability": row["probability"],
            "margin": row.get("margin", 0.0),
            "weight": row.get("weight", 1.0),
            "chosen_length": len(row["chosen"][0]["content"]),
            "rejected_length": len(row["rejected"][0]["content"]),
            "kind": row.get("kind", ""),
        }
        yield columns, max(len(chosen.whole), len(rejected.whole))


def unpaired_tokens(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`prompt_ids`, `completion_ids` and `label`, as KTO takes them, `probability` (that the label is
    right) and `weight`."""
    for row, one in zip(rows, chat.exchanges(rows, "completion"), strict=True):
        if isinstance(one, str):
            yield one, 0
            continue
        columns = {
            "prompt_ids": one.prompt,
            "completion_ids": one.answer,
            "label": row["label"],
            "probability": row.get("probability", 1.0),
            "weight": row.get("weight", 1.0),
        }
        yield columns, len(one.whole)


def _chosen_and_rejected(
    rows: list[dict[str, Any]], chat: ChatTokens
) -> Iterator[tuple[dict[str, Any], Exchange | str, Exchange | str]]:
    chosen, rejected = chat.exchanges(rows, "chosen"), chat.exchanges(rows, "rejected")
    return zip(rows, chosen, rejected, strict=True)


def tokenize(
    rows: Rows, encode: Encode, tokenizer: Any, max_length: int, directory: Path, is_main: bool
) -> Tokenized:
    """Write both splits under `directory`, once, and open them.

    Only the process that `is_main` writes; the others must call this after it has. Raises
    InputError if no row to train on is left.
    """
    from datasets import Dataset, load_from_disk

    counts = directory / "dropped.json"
    if is_main and not counts.exists():
        shutil.rmtree(directory, ignore_errors=True)
        dropped = Counter(rows.dropped)
        chat = ChatTokens(tokenizer)
        for split, given in (("train", rows.train), ("test", rows.test)):
            kept = _encoded(given, encode, chat, max_length, dropped)
            if kept:
                columns = {name: [row[name] for row in kept] for name in kept[0]}
                Dataset.from_dict(columns).save_to_disk(directory / split)
            elif split == "train":
                reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items())
                remedy = "raise max_length" if dropped[_TOO_LONG] else "check the chat template"
                raise InputError(Problem("dataset", f"no row is left ({reasons})", remedy))
        write_json_atomic(counts, dropped)
    test = directory / "test"
    train = load_from_disk(str(directory / "train"))
    return Tokenized(
        train=train.remove_columns("length"),
        test=load_from_disk(str(test)).remove_columns("length") if test.exists() else None,
        lengths=train["length"][:],
        dropped=read_json(counts, dict),
    )


def _encoded(
    rows: list[dict[str, Any]],
    encode: Encode,
    chat: ChatTokens,
    max_length: int,
    dropped: Counter[str],
) -> list[dict[str, Any]]:
    """Columns of the rows that fit, shortest first."""
    kept = []
    source = iter(rows)
    while block := list(islice(source, _BLOCK)):
        for columns, length in encode(block, chat):
            if columns is None or isinstance(columns, str):
                dropped[columns or REFUSED] += 1
            elif length > max_length:
                dropped[_TOO_LONG] += 1
            else:
                kept.append({**columns, "length": length})
    _weigh(kept)
    return sorted(kept, key=lambda columns: columns["length"])


def _weigh(rows: list[dict[str, Any]]) -> None:
    """Make the weights of pairs 1 in the mean, so that a step is as long as without them."""
    if rows and "weight" in rows[0]:
        mean = fmean(row["weight"] for row in rows)
        for row in rows:
            row["weight"] /= mean
