"""How far two judges agree, how well a score tells apart, and whether a probability means it."""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random
from statistics import StatisticsError, correlation

from training.stats.intervals import RESAMPLES, Estimate, percentile_interval, wilson_interval

__all__ = [
    "Calibration",
    "CalibrationBin",
    "area_under_curve",
    "calibration",
    "cohen_kappa",
    "kappa_estimate",
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
