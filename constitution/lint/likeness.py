"""How alike two texts are, by their words: deterministic, and blind to order and inflection."""

import re
from functools import lru_cache

__all__ = ["likeness", "words"]

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|ly|e?s|e)\Z")
_SMALL = frozenset(
    "a an the of to in on at is are be it its that this and or for with as by".split()
)


def words(text: str) -> list[str]:
    """The words of a text, folded to lower case."""
    return [word.casefold() for word in _WORD.findall(text)]


def likeness(one: str, other: str) -> float:
    """Jaccard similarity of the sets of word stems, 0 to 1; 1 for texts of the same words."""
    left, right = _stems(one), _stems(other)
    either = left | right
    return len(left & right) / len(either) if either else 1.0


@lru_cache(maxsize=4096)
def _stems(text: str) -> frozenset[str]:
    """Words without the small ones, and without the commonest endings of English."""
    kept = [word for word in words(text) if word not in _SMALL]
    return frozenset(_ENDING.sub("", word) for word in kept)
