"""The curve of over-optimisation: exact for any n, and flagged where the reward leads astray."""

import math
import random
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.stats.best_of_n import Scored, over_optimisation

answers = st.lists(
    st.builds(
        Scored,
        st.integers(0, 5).map(float),
        st.integers(0, 4).map(lambda n: n / 4),
        st.integers(1, 9),
    ),
    min_size=4,
    max_size=7,
)


def drawn(gold_of, count=60, samples=64, seed=0):
    """Prompts whose answers have a random length and quality; `gold_of` and the reward see them."""
    rng = random.Random(seed)
    return [
        [gold_of(rng.random(), rng.randint(5, 60)) for _ in range(samples)] for _ in range(count)
    ]


@given(answers)
@settings(max_examples=50)
def test_the_best_of_n_is_the_mean_over_all_subsets(sampled):
    curve = over_optimisation([sampled])
    for point in curve.points:
        best = []
        for subset in combinations(sampled, point.n):
            top = max(one.proxy for one in subset)
            best.append(fmean(one.gold for one in _tied(sampled, subset, top)))
        assert point.gold.value == pytest.approx(fmean(best), abs=1e-9)
        assert point.kl == pytest.approx(math.log(point.n) - (point.n - 1) / point.n)


def _tied(sampled, subset, top):
    """A tie is settled by chance: any of the answers with that reward, in the mean."""
    return [one for one in sampled if one.proxy == top]


def test_a_reward_that_sees_what_counts_is_not_flagged():
    honest = drawn(lambda quality, length: Scored(quality, quality, length))
    curve = over_optimisation(honest, "honest")
    assert [point.n for point in curve.points] == [1, 2, 4, 8, 16, 32, 64]
    golds = [point.gold.value for point in curve.points]
    assert golds == sorted(golds) and golds[-1] > 0.95
    assert not curve.flagged and curve.told == ""


def test_a_reward_that_loves_length_is_flagged():
    """Up to a point long answers are good, then they are padded."""
    loving = drawn(
        lambda quality, length: Scored(length / 60, max(0.0, 1 - abs(length - 35) / 35), length)
    )
    curve = over_optimisation(loving, "length")
    assert curve.flagged and "what it stands for falls" in curve.told
    assert curve.points[-1].tokens.value > curve.points[0].tokens.value + 20


def test_a_reward_that_brings_nothing_is_flagged():
    noise = drawn(lambda quality, length: Scored(length / 60, 0.5, length))
    assert "no better than any" in over_optimisation(noise).told


def test_a_veto_on_length_keeps_it_down():
    def vetoed(quality, length):
        worth = max(0.0, 1 - abs(length - 35) / 35)
        return Scored(length / 60 if length <= 40 else 0.0, worth, length)

    curve = over_optimisation(drawn(vetoed))
    assert not curve.flagged
    assert curve.points[-1].gold.value > 0.8


def test_without_answers_there_is_no_curve():
    assert over_optimisation([[], []]) is None
    one = over_optimisation([[Scored(1.0, 1.0, 3)]])
    assert [point.n for point in one.points] == [1] and not one.flagged
