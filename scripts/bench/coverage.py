"""How often the interval of each figure holds the truth, over sample sizes and truths up to the edge.

    python -m scripts.bench.coverage [--trials 1000] [--only kappa]

Prints the Markdown table of `docs/experiments.md`. Of a figure that counts, the truth of each trial is
drawn near the one that is named (within 0.3 on the scale of log-odds): at a single one whole counts
make any interval hold it a little too often or too seldom (Brown, Cai and DasGupta 2001).
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy

from engine.shares import Estimate, share_estimate
from training.stats.agreement import area_estimate
from training.stats.bradley_terry import Duel, bradley_terry, rate_duels
from training.stats.intervals import (
    distinct_ratio,
    mean_estimate,
    mean_of_independent,
    paired_difference,
    paired_ratio,
    rank_correlation,
    rate_ratio,
    signed_mean,
)
from training.stats.raters import gwet_ac1, kappa_estimate, krippendorff_alpha

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["SCENARIOS", "SIZES", "Scenario", "coverage"]

SIZES = (8, 12, 30, 100, 200)
_Sample = tuple[float, Estimate | None]
"""The truth, and what was made of a sample."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of figure: `draw` takes a sample of so many prompts at one of the `truths`."""

    name: str
    truths: Sequence[float]
    draw: "Callable[[Generator, int, float], _Sample]"


def coverage(scenario: Scenario, prompts: int, truth: float, trials: int, seed: int = 0) -> float:
    """The share of the samples with a figure whose interval holds the truth."""
    random = numpy.random.default_rng([seed, prompts])
    samples = [scenario.draw(random, prompts, truth) for _ in range(trials)]
    held = [not found.excludes(value) for value, found in samples if found is not None]
    return sum(held) / len(held) if held else math.nan


def _near(random: "Generator", share: float) -> float:
    odds = math.log(share / (1 - share)) + random.uniform(-0.3, 0.3)
    return 1 / (1 + math.exp(-odds))


def _share(random: "Generator", prompts: int, truth: float) -> _Sample:
    truth = _near(random, truth)
    return truth, share_estimate(list(map(float, random.random(prompts) < truth)))


def _clustered_share(random: "Generator", prompts: int, truth: float) -> _Sample:
    hard = random.beta(truth, 1 - truth, prompts)
    hits = random.random((prompts, 4)) < hard[:, None]
    names = [str(at) for at in range(prompts) for _ in range(4)]
    return truth, share_estimate(list(map(float, hits.ravel())), names)


def _share_of_principles(random: "Generator", prompts: int, truth: float) -> _Sample:
    truth = _near(random, truth)
    hard = random.beta(4 * truth, 4 * (1 - truth), prompts)
    return truth, share_estimate(list(random.binomial(5, hard) / 5))


def _weighed_share(random: "Generator", prompts: int, truth: float) -> _Sample:
    """Of four principles, one of each severity, that break together or not."""
    truth = _near(random, truth)
    weights = numpy.array([1, 2, 4, 8]) / 15
    hard = random.beta(2 * truth, 2 * (1 - truth), prompts)
    return truth, share_estimate(list((random.random((prompts, 4)) < hard[:, None]) @ weights))


def _mean_of_tasks(random: "Generator", prompts: int, truth: float) -> _Sample:
    """Of two tasks, the other one twice as long and half as hard."""
    hits = [random.random(n) < t for n, t in ((prompts, truth), (2 * prompts, (1 + truth) / 2))]
    found = [share_estimate(list(map(float, of_task))) for of_task in hits]
    return (3 * truth + 1) / 4, mean_of_independent([one for one in found if one], prompts)


def _rate_ratio(rate: float) -> "Callable[..., _Sample]":
    """Of two groups, `rate` of the first's; six prompts in ten treat both alike if they can."""

    def draw(random: "Generator", prompts: int, truth: float) -> _Sample:
        one = random.random(prompts)
        other = numpy.where(random.random(prompts) < 0.6, one, random.random(prompts))
        base, mine = (one < rate).astype(float), (other < truth * rate).astype(float)
        return truth, rate_ratio(_named(mine), _named(base))

    return draw


def _perplexity(random: "Generator", prompts: int, truth: float) -> _Sample:
    """Nats a token, over answers of unlike lengths, of which each has its own."""
    tokens = random.lognormal(4, 0.8, prompts).round() + 1
    nats = random.gamma(tokens * random.gamma(16, 1 / 16, prompts), truth)
    return truth, paired_ratio(_named(nats), _named(tokens))


def _win_rate(random: "Generator", prompts: int, truth: float) -> _Sample:
    truth = _near(random, truth)
    scores = [_score(random, math.log(truth / (1 - truth)), 0.3) for _ in range(prompts)]
    found = rate_duels([Duel(str(at), "a", "b", s) for at, s in enumerate(scores)], "b", "a")
    return 0.7 * truth + 0.15, found.rate if found else None


def _score(random: "Generator", strength: float, ties: float = 0.0) -> float:
    """Of the first model's duel with one that is stronger by `strength`."""
    if random.random() < ties:
        return 0.5
    return float(random.random() >= 1 / (1 + math.exp(-strength)))


def _difference(steps: Sequence[float], odds: Sequence[float]) -> "Callable[..., _Sample]":
    def draw(random: "Generator", prompts: int, changed: float) -> _Sample:
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


def _tax(random: "Generator", prompts: int, lost: float) -> _Sample:
    def one(count: int) -> Estimate | None:
        before = (random.random(count) < 0.5).astype(float)
        after = numpy.where(random.random(count) < 2 * lost, 0.0, before)
        return paired_difference(_named(before), _named(after))

    found = [estimate for count in (prompts, 2 * prompts) if (estimate := one(count))]
    return lost, mean_of_independent(found, prompts)


def _length_ratio(random: "Generator", prompts: int, truth: float) -> _Sample:
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


def _kappa(kind: float, copies: int = 1) -> "Callable[..., _Sample]":
    def draw(random: "Generator", prompts: int, agreed: float) -> _Sample:
        said, both, chance = _ratings(random, (prompts, 2), agreed, kind)
        names = list(map(str, range(prompts))) * copies
        left, right_side = list(said[:, 0]) * copies, list(said[:, 1]) * copies
        return (both - chance) / (1 - chance), kappa_estimate(left, right_side, names)

    return draw


def _several(statistic: str, kind: float) -> "Callable[..., _Sample]":
    def draw(random: "Generator", prompts: int, agreed: float) -> _Sample:
        said, both, chance = _ratings(random, (prompts, 3), agreed, kind)
        given = random.random(said.shape) < 0.8
        ratings = [list(row[there]) for row, there in zip(said, given, strict=True)]
        if statistic == "alpha":
            return (both - chance) / (1 - chance), krippendorff_alpha(ratings)
        return (both - (1 - chance)) / chance, gwet_ac1(ratings)

    return draw


def _likert(random: "Generator", prompts: int, noise: float) -> _Sample:
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


def _area(kind: float, answers: int = 1, levels: int = 0) -> "Callable[..., _Sample]":
    def draw(random: "Generator", prompts: int, apart: float) -> _Sample:
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


def _rank(random: "Generator", prompts: int, truth: float) -> _Sample:
    one = random.normal(0, 1, prompts)
    linear = 2 * math.sin(math.pi * truth / 6)
    other = linear * one + math.sqrt(1 - linear**2) * random.normal(0, 1, prompts)
    return truth, rank_correlation(list(one), list(other))


def _strength(random: "Generator", prompts: int, truth: float) -> _Sample:
    truth += random.uniform(-0.3, 0.3)
    duels = [Duel(str(at), "a", "b", _score(random, truth, 0.2)) for at in range(prompts)]
    return truth, bradley_terry(duels, ("a", "b")).get("b")


def _strength_of_three(random: "Generator", prompts: int, truth: float) -> _Sample:
    duels = []
    strengths = {"a": 0.0, "b": truth / 2, "c": truth}
    for at in range(prompts):
        good = {name: strength + random.gumbel() for name, strength in strengths.items()}
        for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
            duels.append(Duel(str(at), one, other, float(good[one] > good[other])))
    return truth, bradley_terry(duels, ("a", "b", "c"))["c"]


def _variety(random: "Generator", prompts: int, truth: float) -> _Sample:
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


_THIRDS = (-1 / 3, 1 / 3, 2 / 3), (0.2, 0.6, 0.2)
SCENARIOS = (
    Scenario("share", (0.01, 0.05, 0.2, 0.5), _share),
    Scenario("share, 4 answers a prompt", (0.05, 0.2, 0.5), _clustered_share),
    Scenario("share of 5 principles broken", (0.02, 0.1, 0.4), _share_of_principles),
    Scenario("share weighed by severity", (0.02, 0.1, 0.4), _weighed_share),
    Scenario("mean of two tasks", (0.05, 0.5, 0.9), _mean_of_tasks),
    Scenario("ratio of rates, over 30 %", (0.5, 1.0, 2.0), _rate_ratio(0.3)),
    Scenario("ratio of rates, over 5 %", (1.0, 3.0), _rate_ratio(0.05)),
    Scenario("perplexity, nats a token", (2.0,), _perplexity),
    Scenario("win rate, 30 % ties", (0.5, 0.9, 0.99), _win_rate),
    Scenario("difference of yes and no", (0.02, 0.1, 0.4), _difference((-1, 1), (0.3, 0.7))),
    Scenario("difference in thirds", (0.05, 0.1, 0.3, 0.8), _difference(*_THIRDS)),
    Scenario("tax of two tasks", (0.01, 0.1), _tax),
    Scenario(
        "sycophancy, position bias",
        (0.0, 0.3),
        lambda r, n, t: (t, signed_mean(list(r.normal(t, 0.15, n)))),
    ),
    Scenario(
        "skewed mean (gamma of shape)",
        (0.5, 1.0, 4.0),
        lambda r, n, shape: (shape, mean_estimate(list(r.gamma(shape, 1, n)))),
    ),
    Scenario("ratio of lengths", (1.0, 2.0), _length_ratio),
    Scenario("kappa, agreement", (0.7, 0.9, 0.97, 0.995), _kappa(0.5)),
    Scenario("kappa, 10 % yes", (0.9, 0.97), _kappa(0.1)),
    Scenario("kappa, 3 copies a prompt", (0.7, 0.97), _kappa(0.5, 3)),
    Scenario("alpha, 3 raters with gaps", (0.7, 0.9, 0.97, 0.995), _several("alpha", 0.5)),
    Scenario("AC1, 3 raters with gaps", (0.7, 0.9, 0.97, 0.995), _several("ac1", 0.5)),
    Scenario("AC1, 10 % yes", (0.9, 0.97), _several("ac1", 0.1)),
    Scenario("ordinal alpha (Likert, noise)", (0.5, 1.0, 2.0), _likert),
    Scenario("AUC, sd apart", (0.0, 1.0, 2.0, 3.0), _area(0.5)),
    Scenario("AUC, 20 % yes", (1.0, 2.0), _area(0.2)),
    Scenario("AUC, 5 grades", (1.0, 2.0), _area(0.5, levels=5)),
    Scenario("AUC, 3 answers a prompt", (1.0, 2.0), _area(0.5, answers=3)),
    Scenario("rank correlation", (0.0, 0.5, 0.9, 0.97), _rank),
    Scenario("Bradley-Terry, 20 % ties", (0.0, 1.0, 2.0, 3.0, 4.0), _strength),
    Scenario("Bradley-Terry of three", (0.0, 2.0, 4.0), _strength_of_three),
    Scenario("distinct-n", (0.3, 0.7, 1.0), _variety),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    given = parser.parse_args()
    print(f"| figure | truth |{''.join(f' n {size} |' for size in SIZES)}")
    print("|---|---|" + "---|" * len(SIZES))
    for scenario in (one for one in SCENARIOS if given.only in one.name):
        for truth in scenario.truths:
            found = [coverage(scenario, size, truth, given.trials) for size in SIZES]
            cells = "".join(f" {share:.3f} |" for share in found)
            print(f"| {scenario.name} | {truth:g} |{cells}", flush=True)


if __name__ == "__main__":
    main()
