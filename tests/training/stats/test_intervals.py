"""An interval of 95 % holds the truth 95 times in 100, also where answers share a prompt."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.shares import share_estimate
from training.stats.intervals import mean_estimate, paired_difference, paired_ratio, rate_ratio

TOLERANCE = 0.02


def coverage(draw, estimate, truth, trials):
    """How often the interval of a sample holds the truth."""
    rng = random.Random(0)
    held = [not estimate(draw(rng)).excludes(truth) for _ in range(trials)]
    return sum(held) / trials


@pytest.mark.parametrize("count", [30, 100, 500])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_shares_are_covered(count, share):
    """On average over shares near by: counts are whole, so that at one share any interval holds the
    truth a little too often or too seldom (Brown, Cai and DasGupta 2001)."""
    rng, held = random.Random(0), 0
    for _ in range(2000):
        truth = share + rng.uniform(-0.08, 0.08)
        held += not share_estimate([rng.random() < truth for _ in range(count)]).excludes(truth)
    assert held / 2000 == pytest.approx(0.95, abs=TOLERANCE)


@pytest.mark.parametrize("count", [30, 100, 500])
def test_shares_of_several_answers_to_a_prompt_are_covered(count):
    """Answers to one prompt agree: some prompts are hard, most are not. Counting answers would not
    do, as the second half shows."""

    def draw(rng):
        hits, prompts = [], []
        for prompt in range(count):
            hard = rng.betavariate(0.6, 1.4)
            for _ in range(rng.choice((2, 4))):
                hits.append(rng.random() < hard)
                prompts.append(str(prompt))
        return hits, prompts

    trials = 1000 if count < 500 else 500
    found = coverage(draw, lambda sample: share_estimate(*sample), 0.3, trials)
    assert found == pytest.approx(0.95, abs=TOLERANCE)
    assert coverage(draw, lambda sample: share_estimate(sample[0]), 0.3, trials) < 0.93


@pytest.mark.parametrize("count", [30, 100, 500])
def test_means_are_covered(count):
    def draw(rng):
        return [rng.gauss(3, 2) for _ in range(count)]

    trials = 1000 if count < 500 else 400
    assert coverage(draw, mean_estimate, 3, trials) == pytest.approx(0.95, abs=TOLERANCE)


def test_skewed_means_are_nearly_covered():
    """Lengths are skewed; from 100 prompts on the interval may be believed."""

    def draw(rng):
        return [rng.expovariate(1) for _ in range(100)]

    assert coverage(draw, mean_estimate, 1, 1000) == pytest.approx(0.95, abs=TOLERANCE)


@pytest.mark.parametrize("count", [30, 100, 500])
def test_differences_of_shares_are_covered(count):
    def draw(rng):
        hard = {str(n): rng.random() for n in range(count)}
        return tuple(
            {prompt: float(rng.random() < rate * (0.5 + of)) for prompt, of in hard.items()}
            for rate in (0.2, 0.4)
        )

    found = coverage(draw, lambda pair: paired_difference(*pair), -0.2, 2000)
    assert found == pytest.approx(0.95, abs=TOLERANCE)


def test_ratios_of_lengths_are_covered():
    def draw(rng):
        base = {str(n): 20 + rng.expovariate(0.02) for n in range(100)}
        return {prompt: 2 * of * rng.uniform(0.5, 1.5) for prompt, of in base.items()}, base

    found = coverage(draw, lambda pair: paired_ratio(*pair), 2, 600)
    assert found == pytest.approx(0.95, abs=TOLERANCE)


def test_pairing_narrows_what_prompts_share():
    rng = random.Random(0)
    base = {str(n): rng.gauss(0, 10) for n in range(50)}
    better = {prompt: of + 1 + rng.gauss(0, 0.5) for prompt, of in base.items()}
    paired = paired_difference(better, base)
    assert paired.excludes(0) and paired.high - paired.low < 0.5


def test_no_interval_is_a_point_because_everyone_agrees():
    none = share_estimate([0] * 40)
    assert none.value == none.low == 0 and none.high == pytest.approx(0.0876, abs=1e-3)
    alike = share_estimate([1.0] * 40, [str(n // 4) for n in range(40)])
    assert alike.count == 10 and alike.low < 0.75
    same = paired_difference(dict.fromkeys("abcdef", 1.0), dict.fromkeys("abcdef", 1.0))
    assert same.value == 0 and same.low < 0 < same.high


def test_what_cannot_be_measured_is_none():
    assert share_estimate([]) is None and mean_estimate([]) is None
    assert paired_difference({"a": 1.0}, {"b": 1.0}) is None
    assert paired_ratio({"a": 1.0}, {"a": 0.0}) is None


def test_the_same_seed_gives_the_same_interval():
    values = [random.Random(1).expovariate(1) for _ in range(40)]
    assert mean_estimate(values) == mean_estimate(values)


SCORES = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=30)


@given(SCORES, st.integers(1, 5))
def test_intervals_hold_their_figure(values, groups):
    prompts = [str(n % groups) for n in range(len(values))]
    for found, count in (
        (share_estimate(values, prompts), len(set(prompts))),
        (mean_estimate(values), len(values)),
    ):
        assert found.low <= found.value <= found.high
        assert found.value == pytest.approx(sum(values) / len(values))
        assert found.count == count


@given(SCORES, st.randoms(use_true_random=False))
def test_swapping_the_sides_turns_a_difference_of_shares_round(values, rng):
    left = {str(n): float(value > 0.5) for n, value in enumerate(values)}
    right = {prompt: float(rng.random() < 0.5) for prompt in left}
    one, other = paired_difference(left, right), paired_difference(right, left)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


YES_OR_NO = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=8, max_size=60)


@given(YES_OR_NO)
def test_a_ratio_of_rates_turned_over_is_that_of_the_other_side(pairs):
    mine, theirs = (
        {str(at): float(pair[side]) for at, pair in enumerate(pairs)} for side in (0, 1)
    )
    one, other = rate_ratio(mine, theirs), rate_ratio(theirs, mine)
    if one is None or other is None:
        assert not any(mine.values()) or not any(theirs.values())
        return
    assert one.low < one.value < one.high
    assert (one.low, one.high) == pytest.approx((1 / other.high, 1 / other.low))


def test_the_ratio_of_rates_is_bonett_and_prices():
    """By hand: 10 and 5 of 20 prompts, on 4 of them both."""
    mine = {str(at): float(at < 10) for at in range(20)}
    theirs = {str(at): float(6 <= at < 11) for at in range(20)}
    found = rate_ratio(mine, theirs)
    k = math.sqrt(9 / (11 * 6)) / (math.sqrt((1 - 11 / 13) / 11) + math.sqrt((1 - 6 / 13) / 6))
    z = k * 1.959964

    def wilson(share):
        half = z * math.sqrt(share * (1 - share) / 11 + z**2 / (4 * 11**2))
        return [(share + z**2 / 22 + side * half) / (1 + z**2 / 11) for side in (-1, 1)]

    (low, high), (least, most) = wilson(10 / 11), wilson(5 / 11)
    assert found.value == 2
    assert (found.low, found.high) == pytest.approx((low / most, high / least))


def test_a_mean_or_ratio_that_never_varies_is_no_point():
    same = {str(at): 2.0 for at in range(40)}
    found = paired_ratio(same, dict.fromkeys(same, 1.0))
    assert found.value == 2 and 1.85 < found.low < 2 < found.high < 2.15
    assert not paired_ratio(dict.fromkeys("abc", 2.0), dict.fromkeys("abc", 1.0)).bounded
    assert mean_estimate([0.3] * 10).low < 0.3
