"""How well a score tells apart, whether a probability means it, and where to cut it.

Where prompts have several answers, the prompt is what is sampled, as in `intervals`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.shares import FEWEST, Estimate, area_interval, design_effect, wilson_interval

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

__all__ = [
    "Calibration",
    "CalibrationBin",
    "Threshold",
    "area_estimate",
    "area_under_curve",
    "best_threshold",
    "calibration",
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


def _bin(inside: Sequence[tuple[float, float]]) -> CalibrationBin:
    count = len(inside)
    observed = sum(outcome for _, outcome in inside) / count
    predicted = sum(probability for probability, _ in inside) / count
    return CalibrationBin(count, predicted, observed, wilson_interval(observed, count))


def area_estimate(
    scores: Sequence[float], labels: Sequence[bool], prompts: Sequence[str]
) -> Estimate | None:
    """Probability that a score of a true label is above one of a false; None without either.

    With `area_interval` at the effective numbers of answers: those of the sample over the design
    effect of prompts that gave several, by the placements of DeLong et al. (1988; clustered,
    Obuchowski 1997).
    """
    positives = sorted(score for score, label in zip(scores, labels, strict=True) if label)
    negatives = sorted(score for score, label in zip(scores, labels, strict=True) if not label)
    area = area_under_curve(positives, negatives)
    if area is None:
        return None
    count = len(set(prompts))
    if count < FEWEST:
        return Estimate.unbounded(area, count)

    def error(score: float, label: bool) -> float:
        if label:
            return (_below(score, negatives) - area) / len(positives)
        return (1 - _below(score, positives) - area) / len(negatives)

    errors = [error(score, label) for score, label in zip(scores, labels, strict=True)]
    effect = design_effect(errors, prompts)
    interval = area_interval(area, len(positives) / effect, len(negatives) / effect)
    return Estimate.around(area, interval, count)


def _below(score: float, ordered: Sequence[float]) -> float:
    """The share of sorted scores below one, ties half."""
    return (bisect_left(ordered, score) + bisect_right(ordered, score)) / (2 * len(ordered))


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where to cut probabilities (at or above it is yes), and what that does to the agreement with
    the very labels it was chosen on: new ones will agree less."""

    value: float
    accuracy: float
    kappa: float


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
