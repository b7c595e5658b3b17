"""Who beats whom: how often one model beats another, and one strength for each of several."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from random import Random

from engine.shares import Estimate, share_estimate
from training.stats.intervals import percentile_interval

__all__ = ["Duel", "WinRate", "bradley_terry", "rate_duels"]

_RESAMPLES = 1000
_STEPS = 1000
_PRECISION = 1e-9
_ASIDE = 1.0
"""Drawn games added to each pair, so that a model that never lost has a finite strength."""


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


def bradley_terry(
    duels: Sequence[Duel], models: Sequence[str], *, resamples: int = _RESAMPLES
) -> dict[str, Estimate]:
    """Each model's log-strength over that of the first, which is 0 (Bradley and Terry 1952).

    P(i beats j) = 1 / (1 + exp(s_j - s_i)); 400 / ln 10 times it is an Elo difference. Intervals
    are the percentile bootstrap's over prompts: all duels of a prompt are drawn together, and a tie
    as a win of either, so that a judge that only ties leaves strengths open instead of proving them
    equal.
    """
    prompts: dict[str, list[Duel]] = {}
    for duel in duels:
        prompts.setdefault(duel.prompt, []).append(duel)
    groups = list(prompts.values())
    strengths = _fitted(_wins(chain.from_iterable(groups)), models)
    random = Random(0)
    draws: dict[str, list[float]] = {model: [] for model in models}
    for _ in range(resamples if groups else 0):
        drawn = chain.from_iterable(random.choices(groups, k=len(groups)))
        for model, strength in _fitted(_wins(drawn, random), models).items():
            draws[model].append(strength)
    return {
        model: Estimate.around(
            strength,
            percentile_interval(draws[model]) if draws[model] else (-math.inf, math.inf),
            len(groups),
        )
        for model, strength in strengths.items()
    }


def _wins(duels: Iterable[Duel], random: Random | None = None) -> dict[tuple[str, str], float]:
    """Wins by (winner, loser); a tie is half a win for each, or with `random` a win of either."""
    found: defaultdict[tuple[str, str], float] = defaultdict(float)
    for duel in duels:
        score = duel.score
        if random and 0 < score < 1:
            score = float(random.random() < score)
        found[duel.first, duel.second] += score
        found[duel.second, duel.first] += 1 - score
    return found


def _fitted(wins: Mapping[tuple[str, str], float], models: Sequence[str]) -> dict[str, float]:
    """Log-strengths by the minorise-maximise steps of Hunter (2004, eq. 3)."""
    games = {
        (i, j): wins.get((i, j), 0.0) + wins.get((j, i), 0.0) + _ASIDE
        for i in models
        for j in models
        if i != j
    }
    won = {i: sum(wins.get((i, j), 0.0) + _ASIDE / 2 for j in models if i != j) for i in models}
    strength = dict.fromkeys(models, 1.0)
    for _ in range(_STEPS if len(models) > 1 else 0):
        before = dict(strength)
        for i in models:
            strength[i] = won[i] / sum(
                games[i, j] / (strength[i] + strength[j]) for j in models if i != j
            )
        scale = strength[models[0]]
        strength = {model: value / scale for model, value in strength.items()}
        if all(abs(math.log(strength[m] / before[m])) < _PRECISION for m in models):
            break
    return {model: math.log(value) for model, value in strength.items()}
