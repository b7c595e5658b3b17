"""Which side of a train/test split a prompt is on: a hash of the prompt decides, not its row or id.

So a prompt that occurs twice, under two ids or in two data sets, is never on both sides, rows can
be streamed, and adding rows moves none of the others.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

__all__ = ["is_held_out", "prompt_digest"]

_BUCKETS = 2**64


def is_held_out(prompt: str | Sequence[dict[str, Any]], share: float) -> bool:
    """Whether a prompt, a text or messages, is among the `share` (0 to 1) that is held out."""
    return prompt_digest(prompt) < share * _BUCKETS


def prompt_digest(prompt: str | Sequence[dict[str, Any]]) -> int:
    """64 bits of what the turns of a prompt say; a text is one user turn.

    Upper case, white space and the system turn do not count: a question asked twice, under two
    system prompts or with a stray space, is one question.
    """
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    said = [
        (turn["role"], " ".join(turn["content"].casefold().split()))
        for turn in turns
        if turn["role"] != "system"
    ]
    text = json.dumps(said).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest())
