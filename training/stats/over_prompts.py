"""Kappa, the area under the curve, and their intervals, where prompts have several answers.

As in `intervals`, the prompt is what the bootstrap resamples: answers to one prompt are alike.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.stats.agreement import area_under_curve, cohen_kappa
from training.stats.intervals import RESAMPLES, Estimate, percentile_interval

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

__all__ = ["Threshold", "auc_over_prompts", "best_threshold", "kappa_over_prompts"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where to cut probabilities (at or above it is yes), and what that does to the agreement with
    the very labels it was chosen on: new ones will agree less."""

    value: float
    accuracy: float
    kappa: float


def kappa_over_prompts(
    said: Sequence[bool], labels: Sequence[bool], prompts: Sequence[str]
) -> Estimate | None:
    """Cohen's kappa of a judge and of people; None where it is not defined."""
    import numpy

    kappa = cohen_kappa(said, labels)
    if kappa is None:
        return None
    one, other = numpy.asarray(said, bool), numpy.asarray(labels, bool)
    cells = numpy.stack([one & other, one & ~other, ~one & other, one | True]).astype(float)
    tables = numpy.stack([cells @ weights for weights in _draws(prompts)], axis=1)
    return _estimate(kappa, _kappas(*tables), prompts)


def auc_over_prompts(
    scores: Sequence[float], labels: Sequence[bool], prompts: Sequence[str]
) -> Estimate | None:
    """Probability that a score of a true label is above one of a false; None without either."""
    import numpy

    area = area_under_curve(
        [score for score, label in zip(scores, labels, strict=True) if label],
        [score for score, label in zip(scores, labels, strict=True) if not label],
    )
    if area is None:
        return None
    values, place = numpy.unique(scores, return_inverse=True)
    true = numpy.asarray(labels, float)
    found = []
    for weights in _draws(prompts):
        positives = numpy.bincount(place, weights * true, len(values))
        negatives = numpy.bincount(place, weights * (1 - true), len(values))
        pairs = positives.sum() * negatives.sum()
        if pairs:
            below = negatives.cumsum() - negatives / 2
            found.append(float(positives @ below / pairs))
    return _estimate(area, found, prompts)


def best_threshold(scores: Sequence[float], labels: Sequence[bool]) -> Threshold | None:
    """The threshold of the highest kappa, the lowest such; None without both labels."""
    import numpy

    if len(set(labels)) < 2:
        return None

    values, place = numpy.unique(scores, return_inverse=True)
    true = numpy.asarray(labels, float)
    positives = numpy.bincount(place, true, len(values))
    everything = numpy.bincount(place, minlength=len(values))
    both = positives[::-1].cumsum()[::-1]
    said = everything[::-1].cumsum()[::-1]
    count = numpy.full(len(values), float(len(true)))
    kappas = _kappas(both, said - both, true.sum() - both, count)
    best = int(numpy.nanargmax(kappas))
    wrong = said[best] + true.sum() - 2 * both[best]
    return Threshold(float(values[best]), float(1 - wrong / len(true)), float(kappas[best]))


def _draws(prompts: Sequence[str]) -> "Iterator[NDArray[float64]]":
    """How often each answer is in a resample, as often as its prompt is drawn; one array each."""
    import numpy

    _, place = numpy.unique(prompts, return_inverse=True)
    count = int(place.max()) + 1
    random = numpy.random.default_rng(0)
    for _ in range(RESAMPLES):
        drawn = numpy.bincount(random.integers(0, count, count), minlength=count)
        yield drawn[place].astype(float)


def _kappas(
    both: "NDArray[float64]",
    only_one: "NDArray[float64]",
    only_other: "NDArray[float64]",
    count: "NDArray[float64]",
) -> "NDArray[float64]":
    """Of tables of two raters' yes and no; NaN where it is not defined."""
    import numpy

    one, other = (both + only_one) / count, (both + only_other) / count
    agreed = 1 - (only_one + only_other) / count
    chance = one * other + (1 - one) * (1 - other)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        kappas = (agreed - chance) / (1 - chance)
    return numpy.where(chance < 1, kappas, numpy.nan)


def _estimate(
    value: float, draws: "Sequence[float] | NDArray[float64]", prompts: Sequence[str]
) -> Estimate:
    defined = [float(one) for one in draws if not math.isnan(one)] or [value]
    return Estimate.around(value, percentile_interval(defined), len(set(prompts)))
