"""Over-optimisation: what a reward promises for the best of n answers, and what they are worth.

The best of n by the reward is a policy whose KL from the one that was sampled is known, log n - (n - 1) / n
(Gao et al. 2022, arXiv 2210.10760, section 2), so no training is needed to see where the reward and what
it stands for part ways.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import comb
from statistics import fmean

from engine.shares import Estimate
from training.stats.intervals import mean_estimate

__all__ = ["CurvePoint", "OverOptimisation", "Scored", "over_optimisation"]

_NOTABLE = 0.05
"""A loss of the gold score, on its scale from 0 to 1, that is worth a warning."""
_GOOD_ENOUGH = 0.02
"""A gain of the gold score, on its scale from 0 to 1, that is worth having."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One of a prompt's answers: what the reward gives it, what it is worth, and its length."""

    proxy: float
    gold: float
    tokens: int


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Means over prompts, for the best of `n` answers; `kl` is in nats."""

    n: int
    kl: float
    proxy: Estimate
    gold: Estimate
    tokens: Estimate


@dataclass(frozen=True, slots=True)
class OverOptimisation:
    """The curve of one reward. It is flagged where pursuing the reward costs, or brings nothing of, what
    it stands for; `told` says so in a sentence."""

    reward: str
    gold: str
    points: tuple[CurvePoint, ...]
    flagged: bool = False
    told: str = ""


def over_optimisation(
    prompts: Sequence[Sequence[Scored]], reward: str = "reward", gold: str = "gold"
) -> OverOptimisation | None:
    """The curve for n = 1, 2, 4, ... up to the fewest answers that a prompt has; None without any.

    For each prompt the mean over all subsets of n of its answers is taken exactly, and intervals are
    those of its mean over prompts.
    """
    sampled = [list(answers) for answers in prompts if answers]
    if not sampled:
        return None
    sizes = [1]
    while 2 * sizes[-1] <= min(map(len, sampled)):
        sizes.append(2 * sizes[-1])
    by_size = {n: [_best_of(n, answers) for answers in sampled] for n in sizes}
    points = []
    for n, best in by_size.items():
        means = [mean_estimate([getattr(one, name) for one in best]) for name in _FIELDS]
        proxy, worth, tokens = (mean for mean in means if mean is not None)
        points.append(CurvePoint(n, math.log(n) - (n - 1) / n, proxy, worth, tokens))
    told = _verdict({n: [one.gold for one in best] for n, best in by_size.items()}, points)
    return OverOptimisation(reward, gold, tuple(points), bool(told), told)


_FIELDS = ("proxy", "gold", "tokens")


@dataclass(frozen=True, slots=True)
class _Mean:
    proxy: float
    gold: float
    tokens: float


def _best_of(n: int, answers: list[Scored]) -> _Mean:
    """Expected values of the best of `n` drawn without replacement: in ascending order of the reward
    the i-th of N is the best of C(i - 1, n - 1) of the C(N, n) subsets. Ties share theirs."""
    ordered = sorted(answers, key=lambda one: one.proxy)
    total = comb(len(ordered), n)
    proxy = gold = tokens = 0.0
    place = 0
    for _, tied in groupby(ordered, key=lambda one: one.proxy):
        alike = list(tied)
        share = sum(comb(place + i, n - 1) for i in range(len(alike))) / total
        place += len(alike)
        proxy += share * alike[0].proxy
        gold += share * fmean(one.gold for one in alike)
        tokens += share * fmean(one.tokens for one in alike)
    return _Mean(proxy, gold, tokens)


def _verdict(gold: dict[int, list[float]], points: Sequence[CurvePoint]) -> str:
    """What is wrong, if it is: beyond chance worse than at its best, or no better than one answer."""
    last = points[-1]
    if last.n == 1:
        return ""
    best = max(points, key=lambda point: point.gold.value)
    lost = _paired(gold[best.n], gold[last.n])
    gained = _paired(gold[last.n], gold[1])
    if best.n < last.n and lost.low > 0 and lost.value > _NOTABLE:
        return (
            f"from the best of {best.n} to the best of {last.n} the reward rises by "
            f"{last.proxy.value - best.proxy.value:.2f}, and what it stands for falls by {lost.value:.2f}"
        )
    if gained.high < _GOOD_ENOUGH and last.proxy.value > points[0].proxy.value:
        return (
            f"the best of {last.n} by the reward are no better than any: it rises by "
            f"{last.proxy.value - points[0].proxy.value:.2f}, what it stands for by {gained.value:.2f}"
        )
    return ""


def _paired(after: Sequence[float], before: Sequence[float]) -> Estimate:
    found = mean_estimate([a - b for a, b in zip(after, before, strict=True)])
    assert found is not None
    return found
