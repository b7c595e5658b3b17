import math
import random

import pytest

from training.data.rows import Rows
from training.trainers.hard_negatives import KINDS, PLAIN, add_hard_negatives
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


def test_accuracy_is_told_by_kind_and_by_length_gap():
    pairs = [
        PairRewards(1, 0, 1.0, 10, 10, "plain"),
        PairRewards(0, 1, 1.0, 10, 40, "padded"),
        PairRewards(2, 1, 1.0, 10, 40, "padded"),
        PairRewards(1, 2, 1.0, 40, 10, "plain"),
    ]
    report = reward_report(pairs)
    assert report["by_kind"] == {
        "padded": {"pairs": 2, "accuracy": 0.5},
        "plain": {"pairs": 2, "accuracy": 0.5},
    }
    assert report["by_length"] == {
        "alike": {"pairs": 1, "accuracy": 1.0},
        "longer": {"pairs": 1, "accuracy": 0.0},
        "shorter": {"pairs": 2, "accuracy": 0.5},
    }
    assert reward_report([pair(1, 0)])["by_kind"] == {}


def rows_of(count, probability=0.9):
    return [
        {
            "prompt": [{"role": "user", "content": f"Question {n}?"}],
            "chosen": [{"role": "assistant", "content": "Good."}],
            "rejected": [{"role": "assistant", "content": "Bad."}],
            "probability": probability,
        }
        for n in range(count)
    ]


def test_hard_negatives_are_worse_versions_and_their_phrases_are_not_those_of_the_test():
    rows = Rows(rows_of(60), rows_of(60), "", ())
    add_hard_negatives(rows)
    assert len(rows.train) == len(rows.test) == 120
    said = {}
    for split in ("train", "test"):
        made = [row for row in getattr(rows, split) if row["kind"] != PLAIN]
        assert {row["kind"] for row in made} == set(KINDS)
        assert all(row["chosen"] == rows_of(1)[0]["chosen"] for row in made)
        for row in made:
            base = "Bad." if row["kind"] == "confident" else "Good."
            assert base in row["rejected"][0]["content"] != base
            assert row["probability"] == 1.0
        said[split] = {row["rejected"][0]["content"] for row in made}
    assert not said["train"] & said["test"]


def test_a_pair_whose_better_answer_is_not_the_chosen_one_makes_no_hard_negative():
    rows = Rows(rows_of(5, 0.3), [], "", ())
    add_hard_negatives(rows)
    assert [row["kind"] for row in rows.train] == [PLAIN] * 5
