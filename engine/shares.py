"""Shares and areas under the curve with their 95 % intervals, of trials that may share a prompt.

Both are score intervals: the truths that the figure does not contradict, each with the spread that
it would have. They hold at the edge too, where a bootstrap of 0 hits in 40 says [0, 0].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "FEWEST",
    "Estimate",
    "area_interval",
    "by_prompt",
    "design_effect",
    "share_estimate",
    "share_of",
    "wilson_interval",
]

FEWEST = 8
"""Prompts below which a figure other than a share has no interval: there is not enough to say."""

_Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
_FEWEST = 2
"""Below this many prompts nothing is known about their spread."""
_HALVINGS = 60
_POISSON = (0.0, 0.0513, 0.3554, 0.8177)
"""Half the 5 % points of chi-squared with 0, 2, 4, 6 degrees of freedom."""
_UNSEEN = 0.5
"""Weight of a yes and of a no that values between them are smoothed with."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval, in the figure's own unit, from `count` prompts.

    An interval without ends says that these prompts are not enough to say.
    """

    value: float
    low: float
    high: float
    count: int

    @classmethod
    def unbounded(cls, value: float, count: int) -> "Estimate":
        """A figure of too few prompts to say how far the truth may be from it."""
        return cls(value, -math.inf, math.inf, count)

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) or math.isfinite(self.high)

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

    Of a mean of values between 0 and 1 it is conservative: their variance is at most p(1 - p). From
    `FEWEST` trials on and within three of an edge, the near end is that of Poisson's distribution, where Wilson's leaves out
    too many small shares (Brown, Cai and DasGupta 2001, section 4.1.1).
    """
    if count == 0:
        return 0.0, 1.0
    denominator = 1 + _Z**2 / count
    middle = (share + _Z**2 / (2 * count)) / denominator
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2)) / denominator
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    if count < FEWEST:
        return low, high
    if share < 0.5:
        low = min(low, _near_nothing(share * count) / count)
    elif share > 0.5:
        high = max(high, 1 - _near_nothing((1 - share) * count) / count)
    return low, high


def _near_nothing(hits: float) -> float:
    """The lower end of a Poisson mean, of 5 % on that side, between whole numbers of hits; without
    bound from three hits on."""
    whole = int(hits)
    if whole >= len(_POISSON) - 1:
        return math.inf
    return _POISSON[whole] + (hits - whole) * (_POISSON[whole + 1] - _POISSON[whole])


def share_estimate(hits: Sequence[float], prompts: Sequence[str] | None = None) -> Estimate | None:
    """The mean of values from 0 to 1, such as yes and no; None without any.

    Wilson's score interval (1927) at the effective number of trials, which is that of the answers
    divided by the design effect of prompts that gave several (Kish 1965, section 8.2; Dean and
    Pagano 2015), and grows where values vary less than yes and no do. Answers that all agree count
    once for each prompt.
    """
    if not hits:
        return None
    groups = by_prompt(hits, prompts)
    share = sum(hits) / len(hits)
    trials = _effective_trials(share, groups, hits)
    return Estimate.around(share, wilson_interval(share, trials), len(groups))


def share_of(hits: int, trials: int) -> Estimate | None:
    """The share of `trials` that hit, each trial of a prompt of its own; None without any, or where
    there cannot be so many hits."""
    if not trials or not 0 <= hits <= trials:
        return None
    return Estimate.around(hits / trials, wilson_interval(hits / trials, trials), trials)


def area_interval(area: float, positives: float, negatives: float) -> tuple[float, float]:
    """The 95 % score interval of an area under the curve (Newcombe 2006, Statistics in Medicine 25,
    method 5): Hanley and McNeil's variance at the truth in question, not at the figure."""
    middle = (positives + negatives) / 2 - 1

    def contradicts(truth: float) -> bool:
        pairs = (1 - truth) / (2 - truth) + truth / (1 + truth)
        variance = truth * (1 - truth) * (1 + max(0.0, middle) * pairs) / (positives * negatives)
        return bool((truth - area) ** 2 > _Z**2 * variance)

    return _boundary(area, 0.0, contradicts), _boundary(area, 1.0, contradicts)


def design_effect(influences: Sequence[float], prompts: Sequence[str]) -> float:
    """By how much answers that share a prompt widen the variance of a figure; at least 1.

    `influences` is what each answer adds to the figure's error, 0 on average (Binder 1983). Where
    none errs, answers to a prompt count once.
    """
    groups = by_prompt(influences, prompts)
    alone = sum(one * one for one in influences)
    if len(groups) == len(influences):
        return 1.0
    if alone == 0 or len(groups) < _FEWEST:
        return len(influences) / len(groups)
    together = sum(sum(group) ** 2 for group in groups) * len(groups) / (len(groups) - 1)
    return max(1.0, together / alone)


def by_prompt(values: Sequence[float], prompts: Sequence[str] | None) -> list[list[float]]:
    """The values of each prompt; each its own without any prompts."""
    if prompts is None:
        return [[float(value)] for value in values]
    groups: dict[str, list[float]] = {}
    for value, prompt in zip(values, prompts, strict=True):
        groups.setdefault(prompt, []).append(float(value))
    return list(groups.values())


def _effective_trials(
    share: float, groups: Sequence[Sequence[float]], hits: Sequence[float]
) -> float:
    """Independent yes and no whose mean would vary as much.

    Of values between yes and no the spread is that of the sample with one more yes and no, half of
    each in weight: values that happen to be alike do not prove that all are. An estimated spread is
    stretched by Student's quantile over the normal one (Korn and Graubard 1998).
    """
    answers, count = len(hits), len(groups)
    binary = all(hit in (0, 1) for hit in hits)
    if count < _FEWEST or (binary and count == answers):
        return count
    residuals = [sum(group) - share * len(group) for group in groups]
    spread = sum(r * r for r in residuals) * count / (count - 1)
    if binary:
        return min(answers, share * (1 - share) * answers**2 / spread) if spread else count
    size = answers / count
    spread *= (1 + (_Z**2 + 1) / (4 * (count - 1))) ** 2
    spread += _UNSEEN * size**2 * (share**2 + (1 - share) ** 2)
    likely = (share * answers + _UNSEEN * size) / (answers + 2 * _UNSEEN * size)
    return max(likely * (1 - likely) * answers**2 / spread, count)


def _boundary(inside: float, edge: float, contradicts: Callable[[float], bool]) -> float:
    """Where on the way from the figure to the edge of its range truths begin to be contradicted."""
    if not contradicts(edge):
        return edge
    for _ in range(_HALVINGS):
        middle = (inside + edge) / 2
        inside, edge = (inside, middle) if contradicts(middle) else (middle, edge)
    return inside
