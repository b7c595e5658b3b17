"""Rows as tokens, in the columns that TRL's trainers take as they are.

Rows too long to be learned from whole are left out and counted; nothing is cut. Of a row that is
`truncated`, whose answer ran into a token limit when it was sampled, the tokens that end the turn
are left out: it is learned as far as it goes, and not that it stops there. Rows are sorted by
length, so that whatever reads them in order pads little; training draws its own order.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import jinja2

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from engine.generators.chat_template import common_prefix
from engine.generators.control_tokens import Neutraliser
from engine.generators.template_rendering import ChatTemplate
from engine.messages import Message, Role, to_dicts
from engine.storage.atomic import write_json_atomic
from training.data.rows import Rows

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
]

_BLOCK = 1000
_TOO_LONG, _REFUSED = "longer than max_length", "refused by the chat template"

Encoded = Iterator[tuple[dict[str, Any] | None, int]]
"""Columns of each row (None where the chat template refuses it) and tokens of its longest sequence."""
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


def turns_for(tokenizer: Any) -> Callable[[list[dict[str, str]]], list[dict[str, str]]]:
    """What makes turns such as the engine asks them of a model: control tokens spelled out in a message
    are broken, and a system turn that the chat template would refuse or drop is in the user's."""
    added = tokenizer.added_tokens_decoder.values()
    neutralise = Neutraliser.for_tokens(t.content for t in added if t.special).neutralise
    template = ChatTemplate(tokenizer, None)

    def prepare(messages: list[dict[str, str]]) -> list[dict[str, str]]:
        if any(turn["role"] == "system" for turn in messages):
            turns = tuple(Message(cast(Role, turn["role"]), turn["content"]) for turn in messages)
            messages = to_dicts(template.arranged(turns))
        return [{**turn, "content": neutralise(turn["content"])} for turn in messages]

    return prepare


class ChatTokens:
    """Conversations through the tokenizer's chat template, many at a time, as of `turns_for`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._prepare = turns_for(tokenizer)

    def prompts(self, rows: Sequence[dict[str, Any]]) -> list[list[int] | None]:
        """Token ids of each prompt, up to where the answer begins."""
        return self._ids([self._rendered(r["prompt"], add_generation_prompt=True) for r in rows])

    def answered(self, rows: Sequence[dict[str, Any]], column: str) -> list[list[int] | None]:
        """Token ids of each prompt and the answer in `column`, without its end if `truncated`."""
        return self._ids([
            self._rendered(row["prompt"] + row[column], continue_final_message=row["truncated"])
            for row in rows
        ])

    def _ids(self, texts: list[str | None]) -> list[list[int] | None]:
        """Token ids of each; None where the template refused the conversation."""
        given = [text for text in texts if text is not None]
        if not given:
            return [None] * len(texts)
        encoded = iter(self._tokenizer(given, add_special_tokens=False)["input_ids"])
        return [None if text is None else next(encoded) for text in texts]

    def _rendered(self, messages: list[dict[str, str]], **how: bool) -> str | None:
        prepared = self._prepare(messages)
        try:
            text: str = self._tokenizer.apply_chat_template(prepared, tokenize=False, **how)
        except (jinja2.TemplateError, ValueError):
            return None
        return text


def sft_tokens(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`input_ids`, and `labels` that are -100 on the prompt: only the answer is learned."""
    wholes = chat.answered(rows, "completion")
    for prompt, whole in zip(chat.prompts(rows), wholes, strict=True):
        if prompt is None or whole is None:
            yield None, 0
            continue
        start = common_prefix(prompt, whole)  # rendered alone, its end may differ
        yield {"input_ids": whole, "labels": [-100] * start + whole[start:]}, len(whole)


def preference_tokens(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`prompt_ids`, `chosen_ids` and `rejected_ids`, as DPO takes them, and `probability`."""
    both = _chosen_and_rejected(rows, chat)
    for row, prompt, (chosen, rejected) in zip(rows, chat.prompts(rows), both, strict=True):
        if prompt is None or chosen is None or rejected is None:
            yield None, 0
            continue
        start = common_prefix(prompt, chosen, rejected)
        columns = {
            "prompt_ids": prompt[:start],
            "chosen_ids": chosen[start:],
            "rejected_ids": rejected[start:],
            "probability": row["probability"],
        }
        yield columns, max(len(chosen), len(rejected))


def reward_tokens(rows: list[dict[str, Any]], chat: ChatTokens) -> Encoded:
    """`chosen_ids` and `rejected_ids` of whole conversations, `probability`, the characters of each
    answer as `chosen_length` and `rejected_length`, and the `kind` of pair."""
    for row, (chosen, rejected) in zip(rows, _chosen_and_rejected(rows, chat), strict=True):
        if chosen is None or rejected is None:
            yield None, 0
            continue
        columns = {
            "chosen_ids": chosen,
            "rejected_ids": rejected,
            "probability": row["probability"],
            "chosen_length": len(row["chosen"][0]["content"]),
            "rejected_length": len(row["rejected"][0]["content"]),
            "kind": row.get("kind", ""),
        }
        yield columns, max(len(chosen), len(rejected))


def _chosen_and_rejected(
    rows: list[dict[str, Any]], chat: ChatTokens
) -> Iterator[tuple[list[int] | None, list[int] | None]]:
    return zip(chat.answered(rows, "chosen"), chat.answered(rows, "rejected"), strict=True)


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
            if columns is None:
                dropped[_REFUSED] += 1
            elif length > max_length:
                dropped[_TOO_LONG] += 1
            else:
                kept.append({**columns, "length": length})
    return sorted(kept, key=lambda columns: columns["length"])
