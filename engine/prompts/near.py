"""Which prompts say nearly the same, by three-word shingles and MinHash.

A text has a signature (Broder 1997) of its shingles, and two texts that share a bucket in any band of
the signature are compared exactly (locality-sensitive hashing; Leskovec, Rajaraman and Ullman 2014,
section 3.4). So what is found is true, and what is missed is known: at the threshold one pair in
17,000, above it fewer.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from constitution.text_measures import UNSPACED

if TYPE_CHECKING:
    from numpy import intp, uint64
    from numpy.typing import NDArray

__all__ = ["THRESHOLD", "bucket_keys", "jaccard", "normal", "shingles", "signatures", "unlike"]

THRESHOLD = 0.6
"""Jaccard similarity of shingles from which on two prompts are nearly the same: two neighbouring
words replaced in a sentence of twenty leave 0.64."""
_WORDS = 3
_BANDS, _ROWS = 40, 3
"""A pair of similarity s shares a bucket with probability 1 - (1 - s^3)^40."""
_MIXERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""Odd numbers that three hashes are multiplied by to become one, whose order matters."""
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
"""Letters and digits; of scripts that put no spaces between words, each character."""


def unlike(texts: Sequence[str], threshold: float = THRESHOLD) -> list[bool]:
    """For each text in turn, whether none that was kept before it is the same or nearly so."""
    if not texts:
        return []
    grams = [shingles(text) for text in texts]
    buckets: dict[int, list[int]] = {}
    said: set[str] = set()
    kept = []
    for place, keys in enumerate(bucket_keys(signatures(texts)).tolist()):
        near = {other for key in keys if grams[place] for other in buckets.get(key, ())}
        words = normal(texts[place])
        new = words not in said and not any(
            jaccard(grams[place], grams[other]) >= threshold for other in near
        )
        kept.append(new)
        if new:
            said.add(words)
            for key in keys if grams[place] else ():
                buckets.setdefault(key, []).append(place)
    return kept


def shingles(text: str) -> frozenset[int]:
    """Hashes (64 bits) of each three words in a row, or of all words if there are fewer."""
    grams, _ = _grams([text])
    return frozenset(grams.tolist())


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """Size of the intersection over that of the union; 0 if both are empty."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def signatures(texts: Sequence[str]) -> "NDArray[uint64]":
    """One row of 120 minima for each text: the share of columns in which two rows agree estimates
    the Jaccard similarity of their shingles. Texts without words agree with nothing but each other.
    """
    import numpy

    grams, starts = _grams(texts)
    minima = numpy.full((len(texts), _BANDS * _ROWS), numpy.iinfo(numpy.uint64).max, numpy.uint64)
    filled = numpy.diff(starts, append=len(grams)) > 0
    if not filled.any():
        return minima
    for column, (factor, summand) in enumerate(_permutations()):
        shuffled = grams * numpy.uint64(factor) + numpy.uint64(summand)
        minima[filled, column] = numpy.minimum.reduceat(shuffled, starts[filled])
    return minima


def bucket_keys(minima: "NDArray[uint64]") -> "NDArray[uint64]":
    """One key for each row and band of `signatures`; two texts that share one may be alike."""
    import numpy

    bands = minima.reshape(len(minima), _BANDS, _ROWS)
    keys: NDArray[uint64] = (bands * numpy.array(_MIXERS, numpy.uint64)).sum(axis=2)
    return keys + numpy.arange(_BANDS, dtype=numpy.uint64) * numpy.uint64(_MIXERS[0])


def _grams(texts: Sequence[str]) -> "tuple[NDArray[uint64], NDArray[intp]]":
    """The shingles of all texts, one after the other, and where those of each text start."""
    import numpy

    hashes: list[int] = []
    counts: list[int] = []
    for text in texts:
        words = [_word_hash(word) for word in _WORD.findall(text.lower())]
        words += [0] * (_WORDS - len(words)) if words else []
        hashes += words
        counts.append(max(0, len(words) - _WORDS + 1))
    words_of = numpy.array(hashes, numpy.uint64)
    lengths = numpy.array([count + _WORDS - 1 if count else 0 for count in counts], numpy.intp)
    within = numpy.arange(len(hashes)) - numpy.repeat(numpy.cumsum(lengths) - lengths, lengths)
    first = (within < numpy.repeat(lengths, lengths) - (_WORDS - 1)).nonzero()[0]
    grams = sum(
        (words_of[first + step] * numpy.uint64(mixer) for step, mixer in enumerate(_MIXERS)),
        numpy.zeros(len(first), numpy.uint64),
    )
    sizes = numpy.array(counts, numpy.intp)
    return grams, numpy.cumsum(sizes) - sizes


def normal(text: str) -> str:
    """The words of a text, which make it the same as another; the text itself if it has none."""
    return " ".join(_WORD.findall(text.lower())) or text.strip()


@lru_cache(maxsize=1 << 17)
def _word_hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=8).digest())


@lru_cache
def _permutations() -> tuple[tuple[int, int], ...]:
    """Factors (odd) and summands that shuffle 64-bit numbers, one pair for each minimum."""
    drawn = (
        int.from_bytes(blake2b(number.to_bytes(2), digest_size=16).digest())
        for number in range(_BANDS * _ROWS)
    )
    return tuple(((bits >> 64) | 1, bits & 0xFFFF_FFFF_FFFF_FFFF) for bits in drawn)
