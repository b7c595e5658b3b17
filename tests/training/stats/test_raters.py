"""Agreement of several raters with gaps, against the definitions written another way."""

import random
from itertools import combinations, permutations

import pytest

from training.stats.raters import gwet_ac1, krippendorff_alpha


def sampled(seed, raters=3, things=40, kinds=4):
    rng = random.Random(seed)
    rows = []
    for _ in range(things):
        truth = rng.randrange(1, kinds + 1)
        said = [truth if rng.random() < 0.6 else rng.randrange(1, kinds + 1) for _ in range(raters)]
        rows.append([one for one in said if rng.random() < 0.75])
    return rows


def by_pairs(rows, distance):
    """1 - observed over expected: over ordered pairs within things, and among all paired ratings."""
    paired = [row for row in rows if len(row) > 1]
    everything = [rating for row in paired for rating in row]
    seen = sum(
        distance(a, b, everything) / (len(row) - 1)
        for row in paired
        for a, b in permutations(row, 2)
    )
    chance = sum(distance(a, b, everything) for a, b in permutations(everything, 2))
    return 1 - seen * (len(everything) - 1) / chance


def between(a, b, everything):
    """Krippendorff's ordinal distance: the ratings from one kind to the other, half of either."""
    low, high = sorted((a, b))
    inside = sum(low <= one <= high for one in everything)
    return (inside - (everything.count(low) + everything.count(high)) / 2) ** 2


@pytest.mark.parametrize("seed", range(3))
def test_alpha_is_one_less_observed_over_expected_disagreement(seed):
    rows = sampled(seed)
    nominal = by_pairs(rows, lambda a, b, _: float(a != b))
    assert krippendorff_alpha(rows).value == pytest.approx(nominal)
    assert krippendorff_alpha(rows, level="ordinal").value == pytest.approx(by_pairs(rows, between))


@pytest.mark.parametrize("seed", range(100))
def test_ac1_is_agreement_of_pairs_beyond_its_chance(seed):
    rows = [row for row in sampled(seed) if row]
    shared = [row for row in rows if len(row) > 1]
    pairs = [list(combinations(row, 2)) for row in shared]
    agreed = sum(sum(a == b for a, b in of_it) / len(of_it) for of_it in pairs) / len(shared)
    shares = [sum(row.count(kind) / len(row) for row in rows) / len(rows) for kind in range(1, 5)]
    chance = sum(share * (1 - share) for share in shares) / 3
    assert gwet_ac1(rows).value == pytest.approx((agreed - chance) / (1 - chance))


def test_where_nearly_all_is_of_one_kind_only_ac1_sees_agreement():
    rows = [["keeps", "keeps"]] * 47 + [["keeps", "breaks"]] * 3
    assert krippendorff_alpha(rows).value < 0 < 0.9 < gwet_ac1(rows).value


def test_no_interval_is_a_point_and_few_things_have_none():
    perfect = [[n % 3] * 3 for n in range(30)]
    for statistic in (krippendorff_alpha, gwet_ac1):
        found = statistic(perfect)
        assert found.value == found.high == 1 and 0.7 < found.low < 0.99
        assert not statistic(perfect[:6]).bounded
        assert statistic([[1], [2], []]) is None
        assert statistic([[1, 1], [1, 1]]) is None


def test_copies_of_a_prompt_do_not_narrow():
    rows = sampled(1)
    names = [str(n) for n in range(len(rows))]
    for statistic in (krippendorff_alpha, gwet_ac1):
        once, thrice = statistic(rows, names), statistic(rows * 3, names * 3)
        assert thrice.count == once.count
        assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=0.02)
