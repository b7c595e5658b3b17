"""Means, differences and ratios with 95 % intervals, sampled over prompts.

Several answers to one prompt are alike, so the prompt is what is resampled, never the answer:
counting four verdicts on one answer as four trials would make every interval too narrow.

A share takes Wilson's interval (`engine.shares`), everything else the bootstrap's.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

from engine.shares import Estimate, by_prompt

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

__all__ = [
    "mean_estimate",
    "mean_of_independent",
    "paired_difference",
    "paired_ratio",
    "percentile_interval",
]

RESAMPLES = 2000
_LEVEL = 0.95
_NORMAL = NormalDist()
_FEWEST = 2
"""Below this many prompts nothing is known about their spread."""


def mean_estimate(
    values: Sequence[float], prompts: Sequence[str] | None = None, *, resamples: int = RESAMPLES
) -> Estimate | None:
    """The mean of any values, by the bootstrap over prompts; None without any."""
    if not values:
        return None
    groups = by_prompt(values, prompts)
    totals, sizes = [sum(g) for g in groups], [float(len(g)) for g in groups]
    return _ratio(totals, sizes, resamples)


def mean_of_independent(figures: Sequence[Estimate], count: int) -> Estimate | None:
    """The mean of independent figures, each weighing the same; None without any.

    The interval joins theirs by the method of variance estimates recovery (Zou and Donner 2008,
    Statistics in Medicine 27, equation 5): arms add in quadrature, each side for itself.
    """
    if not figures:
        return None
    value = math.fsum(figure.value for figure in figures) / len(figures)
    below = math.hypot(*(figure.value - figure.low for figure in figures)) / len(figures)
    above = math.hypot(*(figure.high - figure.value for figure in figures)) / len(figures)
    return Estimate(value, value - below, value + above, count)


def paired_difference(
    values: Mapping[str, float], base: Mapping[str, float], *, resamples: int = RESAMPLES
) -> Estimate | None:
    """Mean of `values` less `base`, by prompt, over the prompts of both; None if there are none.

    Differences of yes and no take the interval of Bonett and Price (2012, Statistics in Medicine
    31), which is never a point, the others the bootstrap's.
    """
    both = [prompt for prompt in values if prompt in base]
    if not both:
        return None
    differences = [values[prompt] - base[prompt] for prompt in both]
    if set(differences) <= {-1.0, 0.0, 1.0}:
        return _difference_of_shares(differences)
    return _ratio(differences, [1.0] * len(both), resamples)


def paired_ratio(
    values: Mapping[str, float], base: Mapping[str, float], *, resamples: int = RESAMPLES
) -> Estimate | None:
    """Mean of `values` over the mean of `base`, on the prompts of both; None if that is 0 / 0."""
    both = [prompt for prompt in values if prompt in base]
    if not any(base[prompt] for prompt in both):
        return None
    return _ratio([values[p] for p in both], [base[p] for p in both], resamples)


def percentile_interval(draws: Sequence[float]) -> tuple[float, float]:
    """What holds the middle 95 % of bootstrap draws."""
    ordered = sorted(draws)
    tail = (1 - _LEVEL) / 2
    return _quantile(ordered, tail), _quantile(ordered, 1 - tail)


def _difference_of_shares(differences: Sequence[float]) -> Estimate:
    count = len(differences)
    gained = (sum(d > 0 for d in differences) + 1) / (count + 2)
    lost = (sum(d < 0 for d in differences) + 1) / (count + 2)
    middle = gained - lost
    half = _NORMAL.inv_cdf((1 + _LEVEL) / 2) * math.sqrt((gained + lost - middle**2) / (count + 2))
    interval = max(-1.0, middle - half), min(1.0, middle + half)
    return Estimate.around(sum(differences) / count, interval, count)


def _ratio(tops: Sequence[float], bottoms: Sequence[float], resamples: int) -> Estimate:
    """sum(tops) / sum(bottoms) over prompts, with a BCa interval (Efron 1987).

    Its levels are widened as Hesterberg (2015, section 5.3) does, since the bootstrap's spread is
    too small by (n - 1) / n and has the tails of the normal distribution, not of Student's.
    """
    import numpy

    top, bottom = numpy.asarray(tops, float), numpy.asarray(bottoms, float)
    value, count = float(top.sum() / bottom.sum()), len(top)
    residuals = top - value * bottom
    scale = float((residuals**2).sum())
    if count < _FEWEST or scale <= 1e-24 * float((top**2).sum()):
        return Estimate(value, value, value, count)
    draws = _draws(top, bottom, resamples)
    skew = float((residuals**3).sum()) / (6 * scale**1.5)
    return Estimate.around(value, _bca(draws, value, skew, count), count)


def _draws(top: "NDArray[float64]", bottom: "NDArray[float64]", resamples: int) -> list[float]:
    """The ratio in samples of prompts drawn with replacement, sorted; a million draws at a time."""
    import numpy

    random, count = numpy.random.default_rng(0), len(top)
    found: list[float] = []
    while len(found) < resamples:
        rows = min(resamples - len(found), max(1, 1_000_000 // count))
        chosen = random.integers(0, count, (rows, count))
        below = bottom[chosen].sum(axis=1)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            ratios = top[chosen].sum(axis=1) / below
        found.extend(ratios[below != 0].tolist() or [float(top.sum() / bottom.sum())])
    return sorted(found)


def _bca(draws: Sequence[float], value: float, skew: float, count: int) -> tuple[float, float]:
    near = 1e-12 * max(1.0, abs(value))
    below = sum(d < value - near for d in draws) + sum(abs(d - value) <= near for d in draws) / 2
    bias = _NORMAL.inv_cdf(min(max(below / len(draws), 1e-4), 1 - 1e-4))
    reach = math.sqrt(count / (count - 1)) * _student(count - 1)

    def end(moved: float) -> float:
        return _quantile(draws, _NORMAL.cdf(bias + moved / max(1e-6, 1 - skew * moved)))

    return end(bias - reach), end(bias + reach)


def _student(freedom: int) -> float:
    """The upper 2.5 % point of Student's distribution (Abramowitz and Stegun 26.7.5)."""
    z = _NORMAL.inv_cdf((1 + _LEVEL) / 2)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _quantile(ordered: Sequence[float], level: float) -> float:
    place = level * (len(ordered) - 1)
    under = int(place)
    over = min(under + 1, len(ordered) - 1)
    return ordered[under] + (ordered[over] - ordered[under]) * (place - under)
