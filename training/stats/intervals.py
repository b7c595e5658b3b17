"""Means, shares, differences and ratios with 95 % intervals, sampled over prompts.

Several answers to one prompt are alike, so the prompt is what is resampled, never the answer:
counting four verdicts on one answer as four trials would make every interval too narrow.

A share takes Wilson's interval, everything else the bootstrap's: of 0 hits in 40 the bootstrap says
[0, 0], and of a share of 5 % in 30 prompts it holds the truth 78 times in 100, Wilson's 94 times.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

__all__ = [
    "Estimate",
    "mean_estimate",
    "mean_of_independent",
    "paired_difference",
    "paired_ratio",
    "percentile_interval",
    "share_estimate",
    "wilson_interval",
]

RESAMPLES = 2000
_LEVEL = 0.95
_NORMAL = NormalDist()
_Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
_FEWEST = 2
"""Below this many prompts nothing is known about their spread."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval, in the figure's own unit, from `count` prompts."""

    value: float
    low: float
    high: float
    count: int

    @classmethod
    def around(cls, value: float, interval: tuple[float, float], count: int) -> "Estimate":
        """With an interval of resampling or approximation, stretched to hold the figure."""
        return cls(value, min(interval[0], value), max(interval[1], value), count)

    def excludes(self, value: float) -> bool:
        """Whether the interval leaves `value` out: the figure differs from it beyond chance."""
        return not self.low <= value <= self.high

    @property
    def complement(self) -> "Estimate":
        """Of the rest, where this is a share."""
        return Estimate(1 - self.value, 1 - self.high, 1 - self.low, self.count)


def wilson_interval(share: float, count: float) -> tuple[float, float]:
    """The 95 % score interval of a share seen in `count` trials (Wilson 1927).

    Of a mean of values between 0 and 1 it is conservative: their variance is at most p(1 - p).
    """
    if count == 0:
        return 0.0, 1.0
    denominator = 1 + _Z**2 / count
    middle = (share + _Z**2 / (2 * count)) / denominator
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / denominator
    return max(0.0, middle - half), min(1.0, middle + half)


def share_estimate(hits: Sequence[float], prompts: Sequence[str] | None = None) -> Estimate | None:
    """The mean of values from 0 to 1, such as yes and no; None without any.

    Wilson's score interval (1927) at the effective number of trials, which is that of the answers
    divided by the design effect of prompts that gave several (Kish 1965, section 8.2; Dean and
    Pagano 2015). Answers that all agree count once for each prompt.
    """
    if not hits:
        return None
    groups = _grouped(hits, prompts)
    share = sum(hits) / len(hits)
    trials = _effective_trials(share, groups, len(hits))
    return Estimate.around(share, wilson_interval(share, trials), len(groups))


def mean_estimate(
    values: Sequence[float], prompts: Sequence[str] | None = None, *, resamples: int = RESAMPLES
) -> Estimate | None:
    """The mean of any values, by the bootstrap over prompts; None without any."""
    if not values:
        return None
    groups = _grouped(values, prompts)
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


def _grouped(values: Sequence[float], prompts: Sequence[str] | None) -> list[list[float]]:
    if prompts is None:
        return [[float(value)] for value in values]
    groups: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        groups.setdefault(prompt, []).append(float(value))
    return list(groups.values())


def _effective_trials(share: float, groups: Sequence[Sequence[float]], answers: int) -> float:
    """Independent trials whose mean would vary as much; at most the number of answers."""
    if len(groups) == answers or len(groups) < _FEWEST:
        return len(groups)
    residuals = [sum(group) - share * len(group) for group in groups]
    spread = sum(r * r for r in residuals) * len(groups) / (len(groups) - 1)
    if spread == 0:
        return len(groups)
    return min(answers, share * (1 - share) * answers**2 / spread)


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
