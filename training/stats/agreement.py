"""How far two judges agree, how well a score tells apart, and whether a probability means it.

Where prompts have several answers, the prompt is what the bootstrap resamples, as in `intervals`.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from statistics import StatisticsError, correlation
from typing import TYPE_CHECKING

from engine.shares import Estimate, wilson_interval
from training.stats.intervals import RESAMPLES, percentile_interval

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

__all__ = [
    "Calibration",
    "CalibrationBin",
    "Threshold",
    "area_under_curve",
    "auc_over_prompts",
    "best_threshold",
    "calibration",
    "cohen_kappa",
    "kappa_estimate",
    "kappa_over_prompts",
    "pearson",
    "spearman",
]

BINS = 10


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions of like probability: how many, their mean, and how often it came true, with the
    95 % Wilson interval of that share."""

    count: int
    predicted: float
    observed: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A reliability curve (the bins that hold anything, in order), its expected calibration error
    (0 best) and the Brier score, the mean squared error (0 best, 0.25 for always saying a half)."""

    bins: tuple[CalibrationBin, ...]
    error: float
    brier: float


def calibration(
    probabilities: Sequence[float], outcomes: Sequence[float], bins: int = BINS
) -> Calibration | None:
    """Of probabilities from 0 to 1 in bins of equal width (Guo et al. 2017, eq. 5; Brier 1950);
    None without any. An outcome is 1 or 0, or 0.5 where it is both."""
    if not probabilities:
        return None
    members: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    squares = 0.0
    for probability, outcome in zip(probabilities, outcomes, strict=True):
        members[min(int(probability * bins), bins - 1)].append((probability, outcome))
        squares += (probability - outcome) ** 2
    filled = tuple(_bin(inside) for inside in members if inside)
    count = len(probabilities)
    error = sum(b.count * abs(b.predicted - b.observed) for b in filled) / count
    return Calibration(filled, error, squares / count)


def area_under_curve(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """Probability that a positive's score is above a negative's, ties half (Hanley and McNeil
    1982): 0.5 is chance. None where one side is missing."""
    if not positives or not negatives:
        return None
    ordered = sorted(negatives)
    twice = sum(bisect_left(ordered, s) + bisect_right(ordered, s) for s in positives)
    return twice / (2 * len(positives) * len(negatives))


def cohen_kappa(left: Sequence[Hashable], right: Sequence[Hashable]) -> float | None:
    """Agreement beyond chance of two raters of the same things (Cohen 1960): 1 is perfect, 0 that
    of two who guess. None without any, or where both always say the same one thing."""
    if not left:
        return None
    count = len(left)
    agreed = sum(a == b for a, b in zip(left, right, strict=True)) / count
    by_chance = sum(left.count(label) * right.count(label) for label in set(left)) / count**2
    return None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)


def kappa_estimate(left: Sequence[Hashable], right: Sequence[Hashable]) -> Estimate | None:
    """Cohen's kappa with the percentile bootstrap's interval over the things rated."""
    kappa = cohen_kappa(left, right)
    if kappa is None:
        return None
    random, pairs = Random(0), list(zip(left, right, strict=True))
    drawn = (random.choices(pairs, k=len(pairs)) for _ in range(RESAMPLES))
    kappas = (cohen_kappa([a for a, _ in pick], [b for _, b in pick]) for pick in drawn)
    draws = [one for one in kappas if one is not None]
    return Estimate.around(kappa, percentile_interval(draws or [kappa]), len(pairs))


def pearson(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Linear correlation, from -1 to 1; None where it is not defined: one side is constant."""
    try:
        return correlation(left, right)
    except StatisticsError:
        return None


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Rank correlation, from -1 to 1, ties sharing a rank; None where one side is constant."""
    return pearson(_ranks(left), _ranks(right))


def _ranks(values: Sequence[float]) -> list[float]:
    """Each value's place in the order, equal ones sharing the mean of theirs."""
    ordered = sorted(values)
    places = {
        value: (bisect_left(ordered, value) + bisect_right(ordered, value) - 1) / 2
        for value in set(values)
    }
    return [places[value] for value in values]


def _bin(inside: Sequence[tuple[float, float]]) -> CalibrationBin:
    count = len(inside)
    observed = sum(outcome for _, outcome in inside) / count
    predicted = sum(probability for probability, _ in inside) / count
    return CalibrationBin(count, predicted, observed, wilson_interval(observed, count))


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
