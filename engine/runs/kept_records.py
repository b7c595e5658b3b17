"""What an update to edited prompts keeps: the records of those that are there as they were."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.prompts.rows import Prompt, canonical_row
from engine.storage.atomic import replacing
from engine.storage.jsonl import json_line, read_jsonl

__all__ = ["keep_records"]


def keep_records(before: Path, after: Path, prompts: Iterable[Prompt]) -> None:
    """Write to `after` the records in `before` that are of `prompts`, whole or not at all.

    `row` becomes that of the prompt now. A record is left out where its prompt is gone, or reads
    differently, or has other tags or columns. Raises InputError as `read_jsonl` does.
    """
    if not before.exists():
        return
    rows = {_digest(_of_prompt(prompt)): prompt.row for prompt in prompts}
    with replacing(after) as file:
        for record in read_jsonl(before):
            row = rows.get(_digest(_of_record(record)))
            if row is not None:
                file.write(json_line({**record, "row": row}))


def _of_prompt(prompt: Prompt) -> bytes:
    turns = [(message.role, message.content) for message in prompt.messages]
    return canonical_row(prompt.id, turns, prompt.tags, prompt.extra)


def _of_record(record: Mapping[str, Any]) -> bytes:
    """Of nothing where it is no record of ours; it is told when the run's own are read."""
    try:
        turns = [(turn["role"], turn["content"]) for turn in record["prompt"]]
        return canonical_row(record["id"], turns, record["tags"], record["extra"])
    except (KeyError, TypeError, ValueError):
        return b""


def _digest(row: bytes) -> bytes:
    """128 bits of a row's content."""
    return blake2b(row, digest_size=16).digest()
