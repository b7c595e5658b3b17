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
from typing import TYPE_CHECKING

import numpy

from scripts.bench.coverage_draws import (
    Sample,
    area,
    clustered_share,
    difference,
    kappa,
    length_ratio,
    likert,
    mean_of_tasks,
    perplexity,
    rank,
    ratio_of_rates,
    several,
    share,
    share_of_principles,
    strength,
    strength_of_three,
    tax,
    variety,
    weighed_share,
    win_rate,
)
from training.stats.intervals import mean_estimate, signed_mean

if TYPE_CHECKING:
    from numpy.random import Generator

__all__ = ["SCENARIOS", "SIZES", "Scenario", "coverage"]

SIZES = (8, 12, 30, 100, 200)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of figure: `draw` takes a sample of so many prompts at one of the `truths`."""

    name: str
    truths: Sequence[float]
    draw: "Callable[[Generator, int, float], Sample]"


def coverage(scenario: Scenario, prompts: int, truth: float, trials: int, seed: int = 0) -> float:
    """The share of the samples with a figure whose interval holds the truth."""
    random = numpy.random.default_rng([seed, prompts])
    samples = [scenario.draw(random, prompts, truth) for _ in range(trials)]
    held = [not found.excludes(value) for value, found in samples if found is not None]
    return sum(held) / len(held) if held else math.nan


_THIRDS = (-1 / 3, 1 / 3, 2 / 3), (0.2, 0.6, 0.2)
SCENARIOS = (
    Scenario("share", (0.01, 0.05, 0.2, 0.5), share),
    Scenario("share, 4 answers a prompt", (0.05, 0.2, 0.5), clustered_share),
    Scenario("share of 5 principles broken", (0.02, 0.1, 0.4), share_of_principles),
    Scenario("share weighed by severity", (0.02, 0.1, 0.4), weighed_share),
    Scenario("mean of two tasks", (0.05, 0.5, 0.9), mean_of_tasks),
    Scenario("ratio of rates, over 30 %", (0.5, 1.0, 2.0), ratio_of_rates(0.3)),
    Scenario("ratio of rates, over 5 %", (1.0, 3.0), ratio_of_rates(0.05)),
    Scenario("perplexity, nats a token", (2.0,), perplexity),
    Scenario("win rate, 30 % ties", (0.5, 0.9, 0.99), win_rate),
    Scenario("difference of yes and no", (0.02, 0.1, 0.4), difference((-1, 1), (0.3, 0.7))),
    Scenario("difference in thirds", (0.05, 0.1, 0.3, 0.8), difference(*_THIRDS)),
    Scenario("tax of two tasks", (0.01, 0.1), tax),
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
    Scenario("ratio of lengths", (1.0, 2.0), length_ratio),
    Scenario("kappa, agreement", (0.7, 0.9, 0.97, 0.995), kappa(0.5)),
    Scenario("kappa, 10 % yes", (0.9, 0.97), kappa(0.1)),
    Scenario("kappa, 3 copies a prompt", (0.7, 0.97), kappa(0.5, 3)),
    Scenario("alpha, 3 raters with gaps", (0.7, 0.9, 0.97, 0.995), several("alpha", 0.5)),
    Scenario("AC1, 3 raters with gaps", (0.7, 0.9, 0.97, 0.995), several("ac1", 0.5)),
    Scenario("AC1, 10 % yes", (0.9, 0.97), several("ac1", 0.1)),
    Scenario("ordinal alpha (Likert, noise)", (0.5, 1.0, 2.0), likert),
    Scenario("AUC, sd apart", (0.0, 1.0, 2.0, 3.0), area(0.5)),
    Scenario("AUC, 20 % yes", (1.0, 2.0), area(0.2)),
    Scenario("AUC, 5 grades", (1.0, 2.0), area(0.5, levels=5)),
    Scenario("AUC, 3 answers a prompt", (1.0, 2.0), area(0.5, answers=3)),
    Scenario("rank correlation", (0.0, 0.5, 0.9, 0.97), rank),
    Scenario("Bradley-Terry, 20 % ties", (0.0, 1.0, 2.0, 3.0, 4.0), strength),
    Scenario("Bradley-Terry of three", (0.0, 2.0, 4.0), strength_of_three),
    Scenario("distinct-n", (0.3, 0.7, 1.0), variety),
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
