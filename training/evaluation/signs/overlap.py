"""Evaluation prompts that a model was trained on, word for word or nearly so.

The evaluation's prompts are few and held in memory, the training's are streamed past them, and the
two are compared as `engine.prompts.near` says.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from engine.prompts.near import THRESHOLD, bucket_keys, jaccard, normal, shingles, signatures

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray

__all__ = ["Near", "Overlap", "overlap"]

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Near:
    """The training prompt most like an evaluation prompt, and their Jaccard similarity."""

    similarity: float
    text: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """Which evaluation prompts, by their place, were trained on; `exact` ones are not also `near`.

    Case, punctuation and spacing make no difference. `trained` counts the training prompts.
    """

    trained: int = 0
    exact: frozenset[int] = frozenset()
    near: dict[int, Near] = field(default_factory=dict)


def overlap(train_texts: Iterable[str], eval_prompts: Sequence[str]) -> Overlap:
    """Compare every training text with every evaluation prompt, reading the first only once.

    Memory is bounded by the evaluation's prompts and a thousand training texts at a time.
    """
    index = _Index(eval_prompts)
    trained, exact, near = 0, set[int](), dict[int, Near]()
    for texts in _batches(train_texts):
        trained += len(texts)
        for text in texts:
            exact.update(index.by_words.get(normal(text), ()))
        for row, places in index.candidates(signatures(texts)).items():
            grams = shingles(texts[row])
            for place in places:
                similarity = jaccard(grams, index.shingles[place])
                if similarity >= max(THRESHOLD, near[place].similarity if place in near else 0):
                    near[place] = Near(similarity, texts[row])
    found = {place: near[place] for place in sorted(near) if place not in exact}
    return Overlap(trained, frozenset(exact), found)


class _Index:
    """The evaluation's prompts by their words, and by the buckets of their signatures."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self.shingles = [shingles(prompt) for prompt in prompts]
        self.by_words: dict[str, list[int]] = {}
        self._buckets: dict[int, list[int]] = {}
        keys = bucket_keys(signatures(prompts))
        for place, prompt in enumerate(prompts):
            self.by_words.setdefault(normal(prompt), []).append(place)
            for key in keys[place].tolist() if self.shingles[place] else ():
                self._buckets.setdefault(key, []).append(place)

    def candidates(self, minima: "NDArray[uint64]") -> dict[int, set[int]]:
        """By row of `minima`, the places of the prompts that share a bucket with it."""
        import numpy

        keys = bucket_keys(minima)
        known = numpy.fromiter(self._buckets, numpy.uint64, len(self._buckets))
        rows, bands = numpy.isin(keys, known).nonzero()
        found: dict[int, set[int]] = {}
        for row, key in zip(rows.tolist(), keys[rows, bands].tolist(), strict=True):
            found.setdefault(row, set()).update(self._buckets[key])
        return found


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(texts)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
