"""Which words of a text its next wording changed, at a bounded cost."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["WordChange", "word_diff"]

_LONGEST = 4_000
"""Pieces on either side that are still compared."""
_MOST_PAIRS = 40_000
"""Equal pieces across the two sides, which is what matching takes its time over: a text that
repeats itself, as small models do, has very many."""
_PIECES = (re.compile(r"\w+|\s+|[^\w\s]"), re.compile(r"[^.!?\n]*+[.!?\n]++\s*+|[^.!?\n]++"))
"""Words first; sentences or lines when there are too many words."""
_ISLAND = 3
"""Unchanged characters between two changes that are too few to be worth reading alone."""


@dataclass(frozen=True, slots=True)
class WordChange:
    """A stretch of both texts; unchanged where `before == after`.

    The `before`s joined are the first text, the `after`s the second.
    """

    before: str
    after: str

    @property
    def same(self) -> bool:
        """Whether nothing changed here."""
        return self.before == self.after


def word_diff(before: str, after: str) -> tuple[WordChange, ...]:
    """How `before` became `after`: by word, by sentence if they are long, else all at once."""
    for pieces in _PIECES:
        old, new = pieces.findall(before), pieces.findall(after)
        there = Counter(piece for piece in new if not piece.isspace())
        pairs = sum(there[piece] for piece in old)
        if max(len(old), len(new)) <= _LONGEST and pairs <= _MOST_PAIRS:
            # White space as junk: it anchors no match, which keeps matches long and matching fast.
            matcher = SequenceMatcher(str.isspace, old, new, autojunk=False)
            return tuple(
                _joined(
                    WordChange("".join(old[old_from:old_to]), "".join(new[new_from:new_to]))
                    for _, old_from, old_to, new_from, new_to in matcher.get_opcodes()
                )
            )
    return (WordChange(before, after),)


def _joined(changes: Iterable[WordChange]) -> list[WordChange]:
    """`changes` with neighbouring changes, and unchanged islands between them, made one."""
    joined: list[WordChange] = []
    for change in changes:
        island = len(joined) > 1 and joined[-1].same and len(joined[-1].before.strip()) <= _ISLAND
        if island and not change.same:
            between, earlier = joined.pop(), joined.pop()
            change = _sum(_sum(earlier, between), change)
        joined.append(change)
    return joined


def _sum(first: WordChange, second: WordChange) -> WordChange:
    return WordChange(first.before + second.before, first.after + second.after)
