"""Means, differences, ratios and correlations with 95 % intervals, over prompts.

Several answers to one prompt are alike, so the prompt is what is sampled, never the answer:
counting four verdicts on one answer as four trials would make every interval too narrow.

A share takes Wilson's interval (`engine.shares`). `docs/experiments.md` has the share of samples in
which each interval holds the truth; below `FEWEST` prompts there is none.
"""

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from statistics import NormalDist, StatisticsError, correlation, fmean, pstdev

from constitution.problems import missing
from engine.shares import FEWEST, Estimate, design_effect

__all__ = [
    "check_scipy",
    "distinct_ratio",
    "mean_estimate",
    "mean_of_independent",
    "paired_difference",
    "paired_ratio",
    "pearson",
    "rank_correlation",
    "ranks",
    "rate_ratio",
    "signed_mean",
    "spearman",
]

LEVEL = 0.95
_TAIL = (1 + LEVEL) / 2
Z = NormalDist().inv_cdf(_TAIL)
_UNSEEN = 1.0
"""Steps up and steps down that bounded differences are smoothed with, of the size of those seen."""


def check_scipy() -> None:
    """Raise InputError where scipy is missing, before anything is asked that would have no interval."""
    if find_spec("scipy") is None:
        raise missing("intervals", "scipy", "eval")


def mean_estimate(values: Sequence[float]) -> Estimate | None:
    """The mean of any values, one a prompt, with the interval of `_skewed`; None without any."""
    if not values:
        return None
    return _skewed(list(map(float, values)), [1.0] * len(values))


def signed_mean(values: Sequence[float]) -> Estimate | None:
    """The mean of values from -1 to 1, one a prompt, such as differences of shares; None without.

    The interval of Bonett and Price (2012, Statistics in Medicine 31), which one step up and one
    step down more keep from being a point. Where steps are not all of 1, theirs is the root mean
    square of those seen, and the quantile Student's: their size is estimated too.
    """
    if not values:
        return None
    value, count = math.fsum(values) / len(values), len(values)
    steps = [step * step for step in values if step]
    square = math.fsum(steps) / len(steps) if steps else 1.0
    reach = Z if square == 1 else _student(count - 1)
    whole = count + 2 * _UNSEEN
    middle = math.fsum(values) / whole
    variance = (math.fsum(steps) + 2 * _UNSEEN * square) / whole - middle**2
    half = reach * math.sqrt(max(0.0, variance) / whole)
    return Estimate.around(value, (max(-1.0, middle - half), min(1.0, middle + half)), count)


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


def paired_difference(values: Mapping[str, float], base: Mapping[str, float]) -> Estimate | None:
    """Mean of `values` less `base`, which are shares, by prompt, over the prompts of both; None if
    there are none. The interval is that of `signed_mean`."""
    return signed_mean([values[prompt] - base[prompt] for prompt in values if prompt in base])


def paired_ratio(values: Mapping[str, float], base: Mapping[str, float]) -> Estimate | None:
    """Mean of `values` over the mean of `base`, which are at least 0, on the prompts of both; None
    if that is 0 / 0. The interval is that of `_skewed`."""
    both = [prompt for prompt in values if prompt in base]
    if not any(base[prompt] for prompt in both):
        return None
    return _skewed([values[p] for p in both], [base[p] for p in both])


def rate_ratio(values: Mapping[str, float], base: Mapping[str, float]) -> Estimate | None:
    """Mean of `values` over the mean of `base`, both between 0 and 1, on the prompts of both; None
    where that of `base` is 0.

    The interval is Bonett and Price's (2006, Journal of Educational and Behavioral Statistics 31,
    section 3): Wilson's of either rate among the prompts that hit at all, each at a level that makes
    their ratio one of 95 %. Values between 0 and 1 count as hits of that size.
    """
    both = [prompt for prompt in values if prompt in base]
    mine, theirs = (math.fsum(side[p] for p in both) for side in (values, base))
    if not theirs:
        return None
    if len(both) < FEWEST:
        return Estimate.unbounded(mine / theirs, len(both))
    hit = math.fsum(max(values[p], base[p]) for p in both)
    unlike = 2 * hit - mine - theirs
    together = math.sqrt((unlike + 2) / ((mine + 1) * (theirs + 1)))
    alone = (math.sqrt((1 - (one + 1) / (hit + 2)) / (one + 1)) for one in (mine, theirs))
    z = Z * together / sum(alone)
    (low, high), (least, most) = (_wilson(one / hit, hit, z) for one in (mine, theirs))
    interval = (low / most, high / least if least > 0 else math.inf)
    return Estimate.around(mine / theirs, interval, len(both))


def _wilson(share: float, count: float, z: float) -> tuple[float, float]:
    """Wilson's score interval at the level of `z`."""
    middle = share + z**2 / (2 * count)
    half = z * math.sqrt(max(0.0, share * (1 - share)) / count + z**2 / (4 * count**2))
    whole = 1 + z**2 / count
    return max(0.0, middle - half) / whole, min(whole, middle + half) / whole


def distinct_ratio(
    mine: Sequence[Sequence[object]], theirs: Sequence[Sequence[object]]
) -> Estimate | None:
    """Distinct things of one side over those of the other, each a list for each prompt; None where
    the other side has none.

    The interval is the jackknife's over prompts, of the logarithm and with Student's quantile: the
    things that a prompt alone has are what the count loses without it (Efron and Stein 1981). One
    thing more on either side keeps it from being a point.
    """
    all_mine, own_mine = _kinds(mine)
    all_theirs, own_theirs = _kinds(theirs)
    if not all_theirs:
        return None
    value, count = all_mine / all_theirs, len(mine)
    if count < FEWEST or not all_mine:
        return Estimate.unbounded(value, count)
    lost = [
        one / all_mine - other / all_theirs for one, other in zip(own_mine, own_theirs, strict=True)
    ]
    middle = math.fsum(lost) / count
    variance = math.fsum((one - middle) ** 2 for one in lost) * (count - 1) / count
    variance += 1 / all_mine**2 + 1 / all_theirs**2
    reach = math.exp(_student(count - 1) * math.sqrt(variance))
    return Estimate(value, value / reach, value * reach, count)


def _kinds(lists: Sequence[Sequence[object]]) -> tuple[int, list[int]]:
    """How many distinct things there are, and how many of them each list has alone."""
    holders: dict[object, int | None] = {}
    for place, things in enumerate(lists):
        for thing in things:
            holders[thing] = place if holders.get(thing, place) == place else None
    alone = [0] * len(lists)
    for holder in holders.values():
        if holder is not None:
            alone[holder] += 1
    return len(holders), alone


def pearson(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Linear correlation, from -1 to 1; None where it is not defined: one side is constant."""
    try:
        return correlation(left, right)
    except StatisticsError:
        return None


def spearman(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Rank correlation, from -1 to 1, ties sharing a rank; None where one side is constant."""
    return pearson(ranks(left), ranks(right))


def rank_correlation(
    left: Sequence[float], right: Sequence[float], prompts: Sequence[str] | None = None
) -> Estimate | None:
    """Spearman's, with the interval of its Fisher transform and the variance of Bonett and Wright
    (2000, Psychometrika 65) at the effective number of pairs; None where one side is constant.

    Theirs is too small above 0.95, where a term in the eighth power is added, found by simulation. A
    perfect order counts as half of the smallest step from it, so that it is not a point.
    """
    value = spearman(left, right)
    if value is None:
        return None
    count = len(set(prompts)) if prompts else len(left)
    if count < FEWEST:
        return Estimate.unbounded(value, count)
    pairs = len(left) / (design_effect(_moved(left, right, value), prompts) if prompts else 1)
    most = 1 - 6 / (pairs * (pairs * pairs - 1))
    inside = min(max(value, -most), most)
    half = Z * math.sqrt((1 + inside**2 / 2 + inside**8) / max(1.0, pairs - 3))
    middle = math.atanh(inside)
    return Estimate.around(value, (math.tanh(middle - half), math.tanh(middle + half)), count)


def _moved(left: Sequence[float], right: Sequence[float], value: float) -> list[float]:
    """What each pair adds to a rank correlation's error, to first order."""
    sides = []
    for side in (ranks(left), ranks(right)):
        middle, spread = fmean(side), pstdev(side)
        sides.append([(place - middle) / spread for place in side])
    return [
        one * other - value * (one**2 + other**2) / 2 for one, other in zip(*sides, strict=True)
    ]


def ranks(values: Sequence[float]) -> list[float]:
    """Each value's place in the order, equal ones sharing the mean of theirs."""
    places: dict[float, float] = {}
    ordered = sorted(values)
    for place, value in enumerate(ordered):
        places.setdefault(value, place)
    for value, last in {value: place for place, value in enumerate(ordered)}.items():
        places[value] = (places[value] + last) / 2
    return [places[value] for value in values]


def _skewed(tops: Sequence[float], bottoms: Sequence[float]) -> Estimate:
    """sum(tops) / sum(bottoms) over prompts, with Hall's transformation of its studentized error,
    which removes the skewness (1992, Journal of the Royal Statistical Society B 54, equation 2.3),
    and Student's quantile. Errors are the jackknife's: without a prompt the rest is smaller. Where
    nothing varies, one prompt is taken to differ by as much as all of them have on average."""
    count, below = len(tops), math.fsum(bottoms)
    value = math.fsum(tops) / below
    errors = [
        (top - value * bottom) * (1 - 1 / count) / (1 - bottom / below) if bottom < below else 0.0
        for top, bottom in zip(tops, bottoms, strict=True)
    ]
    square = math.fsum(error**2 for error in errors) / count
    if count < FEWEST:
        return Estimate.unbounded(value, count)
    if square <= 1e-24 * math.fsum(top * top for top in tops) / count:
        half = _student(count - 1) * abs(value) / count
        return Estimate(value, value - half, value + half, count)
    skew = math.fsum(error**3 for error in errors) / count / square**1.5
    unit = math.sqrt(square * count / (count - 1) * count) / below
    reach = _student(count - 1)
    low, high = (_untransformed(end, skew, count) for end in (reach, -reach))
    return Estimate.around(value, (value - unit * low, value - unit * high), count)


def _untransformed(end: float, skew: float, count: int) -> float:
    """Where Hall's cubic of a studentized error has the value `end`."""
    slope = skew / math.sqrt(count)
    if abs(slope) < 1e-9:
        return end
    return 3 / slope * (math.cbrt(1 + slope * (end - slope / 6)) - 1)


def _student(freedom: int) -> float:
    """The upper 2.5 % point of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(max(1, freedom), _TAIL))
