"""Who beats whom: how often one model beats another, and one strength for each of several."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.shares import FEWEST, Estimate, design_effect, share_estimate
from training.stats.intervals import Z

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[float64]

__all__ = ["Duel", "WinRate", "bradley_terry", "rate_duels"]

_STEPS, _PRECISION = 100, 1e-8
_ASIDE = 0.5
"""Wins of either added to each pair that met, so that a model that never lost has a finite strength:
the prior of Jeffreys for two models, whose penalised fit Firth (1993) shows to be nearly unbiased."""
_FARTHEST = 40.0
"""Log-strength from the figure beyond which an interval has no end."""


@dataclass(frozen=True, slots=True)
class Duel:
    """Two models' answers to one prompt; `score` is 1 if the first is better, 0 if the second,
    0.5 for a tie. Both orders of asking a judge make one duel, never two."""

    prompt: str
    first: str
    second: str
    score: float

    def swap(self) -> "Duel":
        """The same duel told from the other side."""
        return Duel(self.prompt, self.second, self.first, 1 - self.score)


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often a model beats another, ties counting half and told apart; counts are duels."""

    rate: Estimate
    wins: int
    ties: int
    losses: int

    def swap(self) -> "WinRate":
        """The same told from the other side."""
        return WinRate(self.rate.complement, self.losses, self.ties, self.wins)


def rate_duels(duels: Sequence[Duel], model: str, other: str) -> WinRate | None:
    """The win rate of `model` over `other`; None if they never met."""
    mine = [
        d.swap() if d.first != model else d for d in duels if {d.first, d.second} == {model, other}
    ]
    scores = [duel.score for duel in mine]
    rate = share_estimate(scores, [duel.prompt for duel in mine])
    if rate is None:
        return None
    wins, losses = sum(s > 0.5 for s in scores), sum(s < 0.5 for s in scores)
    return WinRate(rate, wins, len(scores) - wins - losses, losses)


def bradley_terry(duels: Sequence[Duel], models: Sequence[str]) -> dict[str, Estimate]:
    """Each model's log-strength over that of the first, which is 0 (Bradley and Terry 1952).

    P(i beats j), if either wins, is 1 / (1 + exp(s_j - s_i)); 400 / ln 10 times it is an Elo difference. Ties
    have a parameter of their own (Davidson 1970): they tell how often neither wins, not who would. A
    model has a strength only where duels join it to the first, by way of others or not.

    Intervals are of the profile of the penalised likelihood (Heinze and Schemper 2002, Statistics in
    Medicine 21), with the likelihood's fall divided by the design effect of prompts that gave several
    duels (Pace, Salvan and Sartori 2011). They are finite and hold a model that never lost, too.
    """
    joined = _joined(duels, models)
    met = [duel for duel in duels if duel.first in joined and duel.second in joined]
    if len(joined) < 2:
        return {}
    fit = _Fit.of(met, joined)
    best = fit.best(None, 0.0)
    found = {joined[0]: Estimate(0.0, 0.0, 0.0, len({duel.prompt for duel in met}))}
    for place, model in enumerate(joined[1:]):
        count = len({duel.prompt for duel in met if model in (duel.first, duel.second)})
        value = float(best[place])
        if count < FEWEST:
            found[model] = Estimate.unbounded(value, count)
            continue
        fall = design_effect(fit.influences(met, best, place), [duel.prompt for duel in met])
        low, high = (fit.end(best, place, side, fall * Z**2 / 2) for side in (-1.0, 1.0))
        found[model] = Estimate.around(value, (low, high), count)
    return found


def _joined(duels: Sequence[Duel], models: Sequence[str]) -> list[str]:
    """The models that duels join to the first, in their order."""
    met = {(duel.first, duel.second) for duel in duels}
    met |= {(second, first) for first, second in met}
    reached, new = {models[0]}, {models[0]}
    while new:
        new = {b for a, b in met if a in new and b not in reached and b in models}
        reached |= new
    return [model for model in models if model in reached]


@dataclass(frozen=True, slots=True)
class _Fit:
    """A log-linear model: the score of an outcome of a pair is `features` times the parameters, which
    are the strengths of all models but the first, then that of ties.

    `features` are (pairs, outcomes, parameters), `counts` (pairs, outcomes): a win of the first, of
    the second, and where there are any, ties.
    """

    pairs: Mapping[tuple[str, str], int]
    features: "Floats"
    counts: "Floats"

    @classmethod
    def of(cls, duels: Sequence[Duel], models: Sequence[str]) -> "_Fit":
        import numpy

        pairs: dict[tuple[str, str], int] = {}
        counted: Counter[tuple[int, int]] = Counter()
        for duel in duels:
            place = pairs.setdefault(_sorted(duel), len(pairs))
            counted[place, _outcome(duel)] += 1
        outcomes = 3 if any(outcome == 2 for _, outcome in counted) else 2
        counts = numpy.zeros((len(pairs), outcomes))
        counts[:, :2] += _ASIDE
        for at, count in counted.items():
            counts[at] += count
        features = numpy.zeros((len(pairs), outcomes, len(models) + outcomes - 2))
        for pair, place in pairs.items():
            for outcome, name in enumerate(pair):
                features[place, outcome, models.index(name)] = 1.0
                features[place, 2:, models.index(name)] = 0.5
            features[place, 2:, len(models) :] = 1.0
        return cls(pairs, features[:, :, 1:], counts)

    def best(self, held: int | None, value: float, start: "Floats | None" = None) -> "Floats":
        """The parameters of the highest likelihood, with the one at `held` kept at `value`; Newton's
        steps, halved where they would overshoot."""
        import numpy

        size = self.features.shape[2]
        at = numpy.zeros(size) if start is None else start.copy()
        free = numpy.arange(size) != held
        if held is not None:
            at[held] = value
        for _ in range(_STEPS if free.any() else 0):
            gradient, curvature = self._slopes(at)
            step = numpy.zeros(size)
            step[free] = numpy.linalg.lstsq(curvature[free][:, free], gradient[free])[0]
            here = self.likelihood(at)
            while self.likelihood(at + step) < here - 1e-9:
                step /= 2
            at = at + step
            if abs(step).max() < _PRECISION:
                break
        return at

    def likelihood(self, at: "Floats") -> float:
        """The logarithm of the penalised likelihood."""
        return float((self.counts * self._logs(at)).sum())

    def end(self, best: "Floats", place: int, side: float, fall: float) -> float:
        """Where the profile of one parameter has fallen by `fall` from its highest."""
        from scipy.optimize import brentq

        least = self.likelihood(best) - fall

        def above(away: float) -> float:
            value = float(best[place]) + side * away
            return self.likelihood(self.best(place, value, best)) - least

        far = 1.0
        while above(far) > 0 and far < _FARTHEST:
            far *= 2
        if far >= _FARTHEST:
            return side * math.inf
        return float(best[place]) + side * float(brentq(above, 0.0, far, xtol=1e-5))

    def influences(self, duels: Sequence[Duel], at: "Floats", place: int) -> list[float]:
        """What each duel moves one parameter by, to first order."""
        import numpy

        chances = numpy.exp(self._logs(at))
        means = (chances[:, :, None] * self.features).sum(axis=1)
        row = numpy.linalg.inv(self._slopes(at)[1])[place]
        moved = (self.features - means[:, None, :]) @ row
        return [float(moved[self.pairs[_sorted(duel)], _outcome(duel)]) for duel in duels]

    def _logs(self, at: "Floats") -> "Floats":
        import numpy

        scores = self.features @ at
        scores -= scores.max(axis=1, keepdims=True)
        return numpy.asarray(scores - numpy.log(numpy.exp(scores).sum(axis=1, keepdims=True)))

    def _slopes(self, at: "Floats") -> "tuple[Floats, Floats]":
        """The gradient, and the curvature (parameters, parameters), which is positive."""
        import numpy

        totals = self.counts.sum(axis=1)
        expected = totals[:, None] * numpy.exp(self._logs(at))
        gradient = ((self.counts - expected)[:, :, None] * self.features).sum(axis=(0, 1))
        means = (expected[:, :, None] * self.features).sum(axis=1)
        squares = numpy.einsum("po,poa,pob->ab", expected, self.features, self.features)
        return gradient, squares - numpy.einsum("pa,pb,p->ab", means, means, 1 / totals)


def _sorted(duel: Duel) -> tuple[str, str]:
    return (duel.first, duel.second) if duel.first < duel.second else (duel.second, duel.first)


def _outcome(duel: Duel) -> int:
    """0 where the first of the sorted pair wins, 1 where the second does, 2 for a tie."""
    if duel.score == 0.5:
        return 2
    return int((duel.score > 0.5) != (duel.first < duel.second))
