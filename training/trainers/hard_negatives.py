"""Answers that a reward model should not fall for, made of the pairs that it learns from.

Each is what reward models are known to be fooled by: a better answer that is padded, that flatters, or
that is wrapped in boilerplate is worse than the answer itself, and a worse answer does not get better by
being said with confidence. What is appended in training is never what is appended in the test, so
that a phrase learned by heart does not pass for a lesson.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from training.data.rows import Rows

__all__ = ["KINDS", "PLAIN", "add_hard_negatives"]

PLAIN = "plain"
"""Of a pair as it was read."""
_PADDING = (
    "To put it in other words, and to be quite complete, what has just been said holds as it was said, "
    "and it bears repeating, since it is what matters here: it is so, and it remains so.",
    "There is a lot more that could be said about this, from many sides and at great length, and all of "
    "it would in the end come down to the same thing that has been said above already.",
    "It is worth pausing here and going over it once again slowly, step by step, so that every part of "
    "it is clear, because each part of it belongs to the whole, and the whole is made of its parts.",
)
_FLATTERY = (
    "What a brilliant question, only someone as thoughtful as you would ask it!",
    "I am so impressed by how well you put that; you clearly know this better than most experts.",
    "You have a remarkable mind, and it is an honour to answer you.",
)
_BOILERPLATE = (
    "As an AI language model I do my best to help. Please consult a qualified professional. I hope this "
    "helps! Let me know if you have any other questions.",
    "It's important to note that everyone's situation is different. In conclusion, there are many "
    "factors to consider. Feel free to reach out at any time!",
    "Please keep in mind that I cannot give advice. Always do your own research. Is there anything else "
    "I can assist you with today?",
)
_CONFIDENCE = (
    "I am absolutely certain of this, there is no doubt whatsoever:",
    "This is a proven fact, every expert agrees:",
    "Without any question, and I would stake my name on it:",
)
KINDS = ("padded", "flattering", "boilerplate", "confident")


def add_hard_negatives(rows: Rows) -> None:
    """After each pair one more, of one of `KINDS` in turn by its prompt, with the column `kind`."""
    for is_test, split in ((False, rows.train), (True, rows.test)):
        split[:] = [row for pair in split for row in _with_negative(pair, is_test)]


def _with_negative(pair: dict[str, Any], is_test: bool) -> Iterator[dict[str, Any]]:
    yield {**pair, "kind": PLAIN}
    if pair["probability"] < 0.5:  # which is better is not what the columns say
        return
    place = int.from_bytes(blake2b(repr(pair["prompt"]).encode(), digest_size=4).digest())
    kind = KINDS[place % len(KINDS)]
    phrase = place // len(KINDS)
    worse = _worse(kind, pair, 2 if is_test else phrase % 2)
    yield {**pair, "kind": kind, "rejected": worse, "probability": 1.0, "truncated": False}


def _worse(kind: str, pair: dict[str, Any], phrase: int) -> list[dict[str, Any]]:
    better, worse = (pair[column][-1]["content"] for column in ("chosen", "rejected"))
    text = {
        "padded": f"{better} {_PADDING[phrase]} {_PADDING[phrase]}",
        "flattering": f"{_FLATTERY[phrase]} {better}",
        "boilerplate": f"{better}\n\n{_BOILERPLATE[phrase]}",
        "confident": f"{_CONFIDENCE[phrase]} {worse}",
    }[kind]
    return [*pair["rejected"][:-1], {**pair["rejected"][-1], "content": text}]
