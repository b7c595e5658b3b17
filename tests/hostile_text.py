"""Texts that a regular expression takes longest over, made from the expression itself."""

import random
import re
from collections.abc import Iterator
from re import _constants as ops
from re import _parser as parser

__all__ = ["pumped", "samples"]

UNITS = (
    " ", "\n", "\t", "<", "a", "A", "1", "'", '"', ".", "-", "*", "#", "_", ":", "é", "漢", "\u200b",
    "a ", "A ", "a:", "a: ", "1,", "1. ", "a.", ". ", "! ", "- ", "a-", "\n\n", "\n \n", "\r\n", "a\n",
    "</", "< ", "[a] ", "{{", "<|", "Ab cd. ",
)  # fmt: skip
END = "\x01!"
"""What no pattern here is looking for: it comes last, so that what was begun ends in vain."""


def pumped(pattern: re.Pattern[str], size: int) -> Iterator[str]:
    """Texts of about `size` characters: plain repetitions, and samples of what `pattern` matches
    with each part of them repeated."""
    seen = set()
    for before, unit in _cores(pattern):
        if unit and (before, unit) not in seen:
            seen.add((before, unit))
            yield before + unit * (size // len(unit)) + END


def _cores(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for unit in UNITS:
        yield "", unit
    for text, repeats in samples(pattern, 6):
        yield "", text
        yield "", text[:-1]
        yield "", text + " "
        yield "", text + "\n"
        for start, end in repeats:
            yield text[:start], text[start:end] or " "
            yield text[:start], " "
            yield text[:end], text[end - 1 : end] + " "
        for cut in sorted({1, len(text) // 2, len(text) - 1, len(text)}):
            yield text[:cut], " "
            yield text[:cut], "a"


def samples(pattern: re.Pattern[str], count: int) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Texts that `pattern` roughly matches, and where in them stands what it repeats."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE & ~re.DEBUG)
    for seed in range(count):
        writer = _Writer(random.Random(seed))
        writer.sequence(tree)
        yield writer.text, writer.repeats


class _Writer:
    def __init__(self, draw: random.Random) -> None:
        self.text = ""
        self.repeats: list[tuple[int, int]] = []
        self._draw = draw

    def sequence(self, tree) -> None:
        for op, argument in tree:
            self._one(op, argument)

    def _one(self, op, argument) -> None:
        if op is ops.LITERAL:
            self.text += chr(argument)
        elif op is ops.NOT_LITERAL:
            self.text += next(c for c in "a b" if ord(c) != argument)
        elif op is ops.ANY:
            self.text += "a"
        elif op is ops.IN:
            self.text += self._member(argument)
        elif op is ops.BRANCH:
            self.sequence(self._draw.choice(argument[1]))
        elif op is ops.SUBPATTERN:
            self.sequence(argument[-1])
        elif op is ops.ATOMIC_GROUP:
            self.sequence(argument)
        elif op is ops.ASSERT:
            self.sequence(argument[1])
        elif op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
            least, most, body = argument
            start = len(self.text)
            for _ in range(min(max(least, self._draw.randint(0, 2)), most)):
                self.sequence(body)
            if most > 8:
                self.repeats.append((start, len(self.text)))

    def _member(self, choices) -> str:
        if choices[0][0] is ops.NEGATE:
            inner = re.compile(_class(choices[1:]))
            return next(c for c in " axA1-.\n" if not inner.match(c))
        op, argument = self._draw.choice(choices)
        if op is ops.LITERAL:
            return chr(argument)
        if op is ops.RANGE:
            return chr(self._draw.choice(argument))
        return {
            ops.CATEGORY_SPACE: " ", ops.CATEGORY_WORD: "a", ops.CATEGORY_DIGIT: "1",
            ops.CATEGORY_NOT_SPACE: "a", ops.CATEGORY_NOT_WORD: "-", ops.CATEGORY_NOT_DIGIT: "a",
        }[argument]  # fmt: skip


def _class(choices) -> str:
    parts = []
    for op, argument in choices:
        if op is ops.LITERAL:
            parts.append(re.escape(chr(argument)))
        elif op is ops.RANGE:
            parts.append("-".join(re.escape(chr(one)) for one in argument))
        else:
            parts.append({
                ops.CATEGORY_SPACE: r"\s", ops.CATEGORY_WORD: r"\w", ops.CATEGORY_DIGIT: r"\d",
                ops.CATEGORY_NOT_SPACE: r"\S", ops.CATEGORY_NOT_WORD: r"\W",
                ops.CATEGORY_NOT_DIGIT: r"\D",
            }[argument])  # fmt: skip
    return f"[{''.join(parts)}]"
