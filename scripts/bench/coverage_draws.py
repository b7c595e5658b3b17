"""Samples of each kind of figure with a known truth, for `scripts.bench.coverage`."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy

from engine.shares import Estimate, share_estimate
from training.stats.agreement import area_estimate
from training.stats.bradley_terry import Duel, bradley_terry, rate_duels
from training.stats.intervals import (
    distinct_ratio,
    mean_of_independent,
    paired_difference,
    paired_ratio,
    rank_correlation,
    rate_ratio,
)
from training.stats.raters import gwet_ac1, kappa_estimate, krippendorff_alpha

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = [
    "Sample",
    "area",
    "clustered_share",
    "difference",
    "kappa",
    "length_ratio",
    "likert",
    "mean_of_tasks",
    "perplexity",
    "rank",
    "ratio_of_rates",
    "several",
    "share",
    "share_of_principles",
    "strength",
    "strength_of_three",
    "tax",
    "variety",
    "weighed_share",
    "win_rate",
]

Sample = tuple[float, Estimate | None]
"""The truth, and what was made of a sample."""


def _near(random: "Generator", share: float) -> float:
    odds = math.log(share / (1 - share)) + random.uniform(-0.3, 0.3)
    return 1 / (1 + math.exp(-odds))


def share(random: "Generator", prompts: int, truth: float) -> Sample:
    """Yes or no."""
    truth = _near(random, truth)
    return truth, share_estimate(list(map(float, random.random(prompts) < truth)))


def clustered_share(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of four answers to a prompt, which is hard or not."""
    hard = random.beta(truth, 1 - truth, prompts)
    hits = random.random((prompts, 4)) < hard[:, None]
    names = [str(at) for at in range(prompts) for _ in range(4)]
    return truth, share_estimate(list(map(float, hits.ravel())), names)


def share_of_principles(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of five principles, that break together or not."""
    truth = _near(random, truth)
    hard = random.beta(4 * truth, 4 * (1 - truth), prompts)
    return truth, share_estimate(list(random.binomial(5, hard) / 5))


def weighed_share(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of four principles, one of each severity, that break together or not."""
    truth = _near(random, truth)
    weights = numpy.array([1, 2, 4, 8]) / 15
    hard = random.beta(2 * truth, 2 * (1 - truth), prompts)
    return truth, share_estimate(list((random.random((prompts, 4)) < hard[:, None]) @ weights))


def mean_of_tasks(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of two tasks, the other one twice as long and half as hard."""
    hits = [random.random(n) < t for n, t in ((prompts, truth), (2 * prompts, (1 + truth) / 2))]
    found = [share_estimate(list(map(float, of_task))) for of_task in hits]
    return (3 * truth + 1) / 4, mean_of_independent([one for one in found if one], prompts)


def ratio_of_rates(rate: float) -> "Callable[..., Sample]":
    """Of two groups, `rate` of the first's; six prompts in ten treat both alike if they can."""

    def draw(random: "Generator", prompts: int, truth: float) -> Sample:
        one = random.random(prompts)
        other = numpy.where(random.random(prompts) < 0.6, one, random.random(prompts))
        base, mine = (one < rate).astype(float), (other < truth * rate).astype(float)
        return truth, rate_ratio(_named(mine), _named(base))

    return draw


def perplexity(random: "Generator", prompts: int, truth: float) -> Sample:
    """Nats a token, over answers of unlike lengths, of which each has its own."""
    tokens = random.lognormal(4, 0.8, prompts).round() + 1
    nats = random.gamma(tokens * random.gamma(16, 1 / 16, prompts), truth)
    return truth, paired_ratio(_named(nats), _named(tokens))


def win_rate(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of duels of which three in ten are ties."""
    truth = _near(random, truth)
    scores = [_score(random, math.log(truth / (1 - truth)), 0.3) for _ in range(prompts)]
    found = rate_duels([Duel(str(at), "a", "b", s) for at, s in enumerate(scores)], "b", "a")
    return 0.7 * truth + 0.15, found.rate if found else None


def _score(random: "Generator", strength: float, ties: float = 0.0) -> float:
    """Of the first model's duel with one that is stronger by `strength`."""
    if random.random() < ties:
        return 0.5
    return float(random.random() >= 1 / (1 + math.exp(-strength)))


def difference(steps: Sequence[float], odds: Sequence[float]) -> "Callable[..., Sample]":
    """Of prompts of which a share changed, by one of `steps`."""

    def draw(random: "Generator", prompts: int, changed: float) -> Sample:
        changed = _near(random, changed)
        moved = numpy.where(
            random.random(prompts) < changed, random.choice(steps, prompts, p=odds), 0.0
        )
        truth = changed * sum(s * p for s, p in zip(steps, odds, strict=True))
        values = _named(moved)
        return truth, paired_difference(values, dict.fromkeys(values, 0.0))

    return draw


def _named(values: Any) -> dict[str, float]:
    return {str(at): float(value) for at, value in enumerate(values)}


def tax(random: "Generator", prompts: int, lost: float) -> Sample:
    """Of two tasks, the other one twice as long."""

    def one(count: int) -> Estimate | None:
        before = (random.random(count) < 0.5).astype(float)
        after = numpy.where(random.random(count) < 2 * lost, 0.0, before)
        return paired_difference(_named(before), _named(after))

    found = [estimate for count in (prompts, 2 * prompts) if (estimate := one(count))]
    return lost, mean_of_independent(found, prompts)


def length_ratio(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of two models' answers to each prompt."""
    base = random.lognormal(4, 0.5, prompts)
    longer = truth * base * random.lognormal(-0.08, 0.4, prompts)
    return truth, paired_ratio(_named(longer), _named(base))


def _ratings(
    random: "Generator", shape: tuple[int, int], agreed: float, kind: float
) -> tuple[Any, float, float]:
    """Verdicts of raters, how often two agree, and how often they would by chance."""
    right = (1 + math.sqrt(2 * _near(random, agreed) - 1)) / 2
    truths = random.random(shape[0]) < kind
    said = numpy.where(random.random(shape) < right, truths[:, None], ~truths[:, None])
    yes = kind * right + (1 - kind) * (1 - right)
    return said, right**2 + (1 - right) ** 2, yes**2 + (1 - yes) ** 2


def kappa(kind: float, copies: int = 1) -> "Callable[..., Sample]":
    """Of two raters, with `kind` of all things of one kind."""

    def draw(random: "Generator", prompts: int, agreed: float) -> Sample:
        said, both, chance = _ratings(random, (prompts, 2), agreed, kind)
        names = list(map(str, range(prompts))) * copies
        left, right_side = list(said[:, 0]) * copies, list(said[:, 1]) * copies
        return (both - chance) / (1 - chance), kappa_estimate(left, right_side, names)

    return draw


def several(statistic: str, kind: float) -> "Callable[..., Sample]":
    """Of three raters with gaps."""

    def draw(random: "Generator", prompts: int, agreed: float) -> Sample:
        said, both, chance = _ratings(random, (prompts, 3), agreed, kind)
        given = random.random(said.shape) < 0.8
        ratings = [list(row[there]) for row, there in zip(said, given, strict=True)]
        if statistic == "alpha":
            return (both - chance) / (1 - chance), krippendorff_alpha(ratings)
        return (both - (1 - chance)) / chance, gwet_ac1(ratings)

    return draw


def likert(random: "Generator", prompts: int, noise: float) -> Sample:
    """Of ratings from 1 to 5 by three raters."""
    kinds = numpy.arange(1, 6)
    near = numpy.exp(-(((kinds[:, None] - kinds) / noise) ** 2))
    near /= near.sum(axis=1, keepdims=True)
    table = near.T @ near / 5
    totals = table.sum(axis=0)
    middles = totals.cumsum() - totals / 2
    distances = (middles[:, None] - middles) ** 2
    truth = 1 - (table * distances).sum() / (numpy.outer(totals, totals) * distances).sum()
    rows = near[random.integers(0, 5, prompts)]
    ratings = [list(random.choice(kinds, 3, p=row)) for row in rows]
    return float(truth), krippendorff_alpha(ratings, level="ordinal")


def area(kind: float, answers: int = 1, levels: int = 0) -> "Callable[..., Sample]":
    """Of scores that are normal in either class."""

    def draw(random: "Generator", prompts: int, apart: float) -> Sample:
        count = prompts * answers
        labels = random.random(count) < kind
        scores = random.normal(0, 1, count) + apart * labels
        truth = 0.5 * (1 + math.erf(apart / 2))
        if levels:
            cuts = numpy.linspace(-1, apart + 1, levels - 1)
            scores = numpy.searchsorted(cuts, scores).astype(float)
            truth = _graded_area(cuts, apart)
        names = [str(at // answers) for at in range(count)]
        return truth, area_estimate(list(scores), list(map(bool, labels)), names)

    return draw


def _graded_area(cuts: Any, apart: float) -> float:
    ends = [0.5 * (1 + math.erf(cut / math.sqrt(2))) for cut in cuts]
    moved = [0.5 * (1 + math.erf((cut - apart) / math.sqrt(2))) for cut in cuts]
    low, high = numpy.diff([0.0, *ends, 1.0]), numpy.diff([0.0, *moved, 1.0])
    return float(high @ (low.cumsum() - low / 2))


def rank(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of two normal figures."""
    one = random.normal(0, 1, prompts)
    linear = 2 * math.sin(math.pi * truth / 6)
    other = linear * one + math.sqrt(1 - linear**2) * random.normal(0, 1, prompts)
    return truth, rank_correlation(list(one), list(other))


def strength(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of a model over another, with ties."""
    truth += random.uniform(-0.3, 0.3)
    duels = [Duel(str(at), "a", "b", _score(random, truth, 0.2)) for at in range(prompts)]
    return truth, bradley_terry(duels, ("a", "b")).get("b")


def strength_of_three(random: "Generator", prompts: int, truth: float) -> Sample:
    """Of the best of three models."""
    duels = []
    strengths = {"a": 0.0, "b": truth / 2, "c": truth}
    for at in range(prompts):
        good = {name: strength + random.gumbel() for name, strength in strengths.items()}
        for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
            duels.append(Duel(str(at), one, other, float(good[one] > good[other])))
    return truth, bradley_terry(duels, ("a", "b", "c"))["c"]


def variety(random: "Generator", prompts: int, truth: float) -> Sample:
    """Words of each prompt, a third of them its own: of `truth` as large a vocabulary."""
    mine, theirs = (
        [
            [*random.zipf(1.5, 20), *(1_000_000 * (at + 1) + random.integers(0, size, 10))]
            for at in range(prompts)
        ]
        for size in (max(1, int(30 * truth)), 30)
    )
    return _varieties(prompts, truth), distinct_ratio(mine, theirs)


@cache
def _varieties(prompts: int, truth: float) -> float:
    """The ratio of the expected counts."""
    random, counts = numpy.random.default_rng(1), numpy.zeros(2)
    size = max(1, int(30 * truth))
    own = [kinds * (1 - (1 - 1 / kinds) ** 10) * prompts for kinds in (size, 30)]
    for _ in range(200):
        counts += len(set(random.zipf(1.5, 20 * prompts))) + numpy.array(own)
    return float(counts[0] / counts[1])
