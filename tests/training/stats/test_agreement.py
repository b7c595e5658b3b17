"""Agreement, calibration and the strengths of models against planted truths."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.stats.agreement import area_under_curve, calibration
from training.stats.bradley_terry import Duel, bradley_terry, rate_duels
from training.stats.intervals import pearson, spearman
from training.stats.raters import cohen_kappa, kappa_estimate

MODELS = ("base", "sft", "dpo")


def planted(rng, strengths, prompts, ties=0.0):
    """Duels of every pair on every prompt, as Bradley and Terry would have them."""
    duels = []
    for prompt in range(prompts):
        for index, first in enumerate(strengths):
            for second in list(strengths)[index + 1 :]:
                chance = 1 / (1 + math.exp(strengths[second] - strengths[first]))
                score = 0.5 if rng.random() < ties else float(rng.random() < chance)
                duels.append(Duel(str(prompt), first, second, score))
    return duels


def test_kappa_of_the_textbook():
    """Cohen's kind of table: 20 both yes, 15 both no, 5 and 10 apart."""
    left = [1] * 25 + [0] * 25
    right = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(left, right) == pytest.approx(0.4)
    found = kappa_estimate(left, right)
    assert found.value == pytest.approx(0.4) and found.low < 0.25 and found.high > 0.55


def test_kappa_of_guessing_is_nothing_and_of_one_answer_is_not_defined():
    rng = random.Random(0)
    guesses = [[rng.random() < 0.9 for _ in range(2000)] for _ in range(2)]
    assert abs(cohen_kappa(*guesses)) < 0.06
    assert cohen_kappa([1, 1], [1, 1]) is None and cohen_kappa([], []) is None


def test_the_curve_is_a_probability_of_order():
    assert area_under_curve([2, 3], [0, 1]) == 1
    assert area_under_curve([1, 1], [1]) == 0.5
    assert area_under_curve([0.5, 3], [0.5, 1]) == pytest.approx((0.5 + 0 + 1 + 1) / 4)
    assert area_under_curve([], [1]) is None


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_swapping_the_sides_turns_the_curve_over(positives, negatives):
    one = area_under_curve(positives, negatives)
    assert one == pytest.approx(1 - area_under_curve(negatives, positives))


def test_an_honest_forecaster_is_calibrated_and_a_boaster_is_not():
    rng = random.Random(0)
    said = [rng.random() for _ in range(5000)]
    came = [rng.random() < p for p in said]
    honest = calibration(said, came)
    boaster = calibration([float(p > 0.5) for p in said], came)
    assert honest.error < 0.02 and sum(b.count for b in honest.bins) == 5000
    assert boaster.error == pytest.approx(0.25, abs=0.02)
    assert boaster.brier > honest.brier
    assert calibration([], []) is None


@given(st.lists(st.integers(0, 5), min_size=3, max_size=30))
def test_ranks_know_no_scale(values):
    other = [3 * value + 1 for value in values]
    found = spearman(values, other)
    assert found == (pytest.approx(1) if len(set(values)) > 1 else None)


def test_correlations():
    values = [1.0, 2.0, 3.0, 4.0]
    assert spearman(values, [math.exp(v) for v in values]) == pytest.approx(1)
    assert 0.8 < pearson(values, [math.exp(v) for v in values]) < 1
    assert pearson([1, 1], [1, 2]) is None


def test_planted_strengths_are_recovered():
    truth = {"base": 0.0, "sft": 0.7, "dpo": 1.5}
    found = bradley_terry(planted(random.Random(0), truth, 400), MODELS)
    assert found["base"].value == found["base"].low == found["base"].high == 0
    for model in ("sft", "dpo"):
        assert found[model].value == pytest.approx(truth[model], abs=0.2)
        assert not found[model].excludes(truth[model]) and found[model].excludes(0)


def test_strengths_are_covered():
    truth, held, rng = {"base": 0.0, "sft": 0.6}, 0, random.Random(1)
    for _ in range(200):
        duels = planted(rng, truth, 100)
        held += not bradley_terry(duels, ("base", "sft"))["sft"].excludes(0.6)
    assert held / 200 == pytest.approx(0.95, abs=0.035)


def test_ties_tell_how_often_neither_wins_and_nothing_of_who_would():
    truth = {"base": 0.0, "sft": 1.5}
    duels = planted(random.Random(0), truth, 400, ties=0.5)
    decided = [duel for duel in duels if duel.score != 0.5]
    with_ties = bradley_terry(duels, MODELS[:2])["sft"]
    without = bradley_terry(decided, MODELS[:2])["sft"]
    ends = (without.value, without.low, without.high)
    assert (with_ties.value, with_ties.low, with_ties.high) == pytest.approx(ends, abs=1e-5)


def test_nothing_but_ties_leaves_the_strength_open():
    found = bradley_terry([Duel(str(n), "base", "sft", 0.5) for n in range(12)], MODELS[:2])["sft"]
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.low < -3 and found.high > 3


def davidson(duels, models):
    """The penalised fit by another way: all of the likelihood in one formula, minimised by scipy."""
    from scipy.optimize import minimize

    pairs = {(d.first, d.second) for d in duels}

    def loss(values):
        strength = dict(zip(models, [0.0, *values[:-1]], strict=True))

        def log(first, second, score):
            one, other = strength[first], strength[second]
            tie = values[-1] + (one + other) / 2
            of = {1.0: one, 0.0: other, 0.5: tie}[score]
            return of - math.log(math.exp(one) + math.exp(other) + math.exp(tie))

        aside = sum(0.5 * (log(a, b, 1.0) + log(a, b, 0.0)) for a, b in pairs)
        return -aside - sum(log(d.first, d.second, d.score) for d in duels)

    found = minimize(loss, [0.0] * len(models), method="BFGS", options={"gtol": 1e-8})
    return [0.0, *found.x[:-1]]


@pytest.mark.parametrize("seed", range(3))
def test_strengths_are_those_of_another_solver(seed):
    rng = random.Random(seed)
    truth = {name: rng.gauss(0, 1.5) for name in MODELS}
    duels = planted(rng, truth, 15, ties=0.2)
    found = bradley_terry(duels, MODELS)
    assert [found[m].value for m in MODELS] == pytest.approx(davidson(duels, MODELS), abs=1e-5)


def test_no_strength_is_made_up_for_a_model_without_duels():
    duels = [Duel(str(n), "base", "sft", float(n % 2)) for n in range(40)]
    apart = [Duel(str(n), "x", "y", 1.0) for n in range(40)]
    found = bradley_terry([*duels, *apart], ("base", "sft", "silent", "x", "y"))
    assert set(found) == {"base", "sft"}
    assert found == bradley_terry(duels, ("base", "sft"))
    assert bradley_terry(apart, ("base", "x", "y")) == {}


def test_a_chain_of_undefeated_models_converges():
    pairs = (("a", "b"), ("b", "c"), ("c", "d"))
    duels = [Duel(str(n), one, other, 1.0) for n in range(2000) for one, other in pairs]
    found = bradley_terry(duels, ("a", "b", "c", "d"))
    step = -math.log(2000.5 / 0.5)
    values = [found[name].value for name in "abcd"]
    assert values == pytest.approx([0, step, 2 * step, 3 * step], abs=1e-6)


def test_few_duels_are_not_enough_to_say():
    found = bradley_terry([Duel(str(n), "base", "sft", 0.0) for n in range(5)], MODELS[:2])["sft"]
    assert not found.bounded and not found.excludes(0)


def test_a_model_that_never_lost_has_a_finite_strength():
    duels = [Duel(str(n), "base", "sft", 0.0) for n in range(20)]
    found = bradley_terry(duels, ("base", "sft"))["sft"]
    assert 2 < found.value < 10 and math.isfinite(found.high)
    assert found.low < found.value - 1 and found.high > found.value + 2


def test_a_model_against_itself_wins_half():
    rng = random.Random(0)
    duels = [Duel(str(n), "one", "again", float(rng.random() < 0.5)) for n in range(200)]
    found = rate_duels(duels, "one", "again")
    assert not found.rate.excludes(0.5)
    alike = rate_duels([Duel("p", "one", "again", 0.5)] * 3, "one", "again")
    assert (alike.rate.value, alike.wins, alike.ties, alike.losses) == (0.5, 0, 3, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 0.5, 1])), min_size=1))
def test_swapping_inputs_inverts_the_matrix(scored):
    duels = [Duel(str(prompt), "a", "b", score) for prompt, score in scored]
    here, there = rate_duels(duels, "a", "b"), rate_duels(duels, "b", "a")
    assert here == rate_duels([duel.swap() for duel in duels], "a", "b")
    assert here.rate.value == pytest.approx(1 - there.rate.value)
    assert here.rate.low == pytest.approx(1 - there.rate.high)
    assert (here.wins, here.ties, here.losses) == (there.losses, there.ties, there.wins)


def test_models_that_never_met_have_no_rate():
    assert rate_duels([Duel("p", "a", "b", 1.0)], "a", "c") is None
