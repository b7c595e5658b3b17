import math
import random

import pytest

from training.trainers.reward_model import PairRewards, reward_report


def pair(chosen, rejected, probability=1.0, chosen_length=10, rejected_length=10):
    return PairRewards(chosen, rejected, probability, chosen_length, rejected_length)


def test_accuracy_counts_a_tie_as_half():
    report = reward_report([pair(1, 0), pair(0, 1), pair(0, 0), pair(3, 1)])
    assert report["accuracy"] == pytest.approx(2.5 / 4)


def test_a_model_that_says_how_often_it_is_right_is_calibrated():
    margin = math.log(0.8 / 0.2)  # it says 80 %
    honest = [pair(margin, 0)] * 80 + [pair(0, margin)] * 20
    boaster = [pair(5, 0)] * 80 + [pair(0, 5)] * 20
    assert reward_report(honest)["calibration_error"] == pytest.approx(0, abs=1e-9)
    assert reward_report(boaster)["calibration_error"] == pytest.approx(0.193, abs=0.001)
    assert sum(b["pairs"] for b in reward_report(boaster)["calibration"]) == 100


def test_cross_entropy_is_least_where_the_model_says_what_the_judge_says():
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    agrees = reward_report([pair(math.log(9), 0, probability=0.9)])
    assert agrees["cross_entropy"] == pytest.approx(entropy)
    assert reward_report([pair(9, 0, probability=0.9)])["cross_entropy"] > entropy


def test_a_reward_that_is_length_shows():
    rng = random.Random(0)
    rows = [(rng.randint(1, 99), rng.randint(1, 99)) for _ in range(50)]
    report = reward_report([pair(a**3, b**3, 1.0, a, b) for a, b in rows])
    assert report["length_correlation"]["spearman"] == pytest.approx(1)
    assert 0.8 < report["length_correlation"]["pearson"] < 1
    assert report["prefers_longer"] == 1


def test_what_is_not_defined_is_none():
    report = reward_report([pair(1, 0), pair(2, 0)])
    assert report["length_correlation"] == {"pearson": None, "spearman": None}
    assert report["prefers_longer"] is None


def test_extreme_margins_neither_overflow_nor_divide_by_zero():
    report = reward_report([pair(1e4, -1e4), pair(-1e4, 1e4)])
    assert report["accuracy"] == 0.5 and math.isfinite(report["cross_entropy"])
