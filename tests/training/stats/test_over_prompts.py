"""Kappa, area and threshold, and intervals that know that answers to a prompt are alike."""

import random

import pytest

from training.stats.agreement import area_estimate, area_under_curve, best_threshold
from training.stats.raters import cohen_kappa, kappa_estimate


def raters(count, noise=0.2, seed=0):
    rng = random.Random(seed)
    labels = [rng.random() < 0.4 for _ in range(count)]
    return [label != (rng.random() < noise) for label in labels], labels


def test_each_answer_to_a_prompt_of_its_own_is_what_no_prompts_are():
    said, labels = raters(300)
    assert kappa_estimate(said, labels) == kappa_estimate(
        said, labels, [str(i) for i in range(300)]
    )


@pytest.mark.parametrize("estimate", [kappa_estimate, area_estimate])
def test_perfect_agreement_is_not_proof(estimate):
    for count in (12, 40):
        said = [n % 2 == 0 for n in range(count)]
        found = estimate(said, said, [str(n) for n in range(count)])
        assert found.value == found.high == 1 and 0.3 < found.low < 0.98
    few = estimate(said[:5], said[:5], list("abcde"))
    assert few.value == 1 and not few.bounded


def test_copies_of_answers_do_not_narrow_the_intervals():
    said, labels = raters(80)
    scores = [0.6 * one + 0.4 * random.Random(i).random() for i, one in enumerate(said)]
    prompts = [str(i) for i in range(80)]
    for estimate, left in ((kappa_estimate, said), (area_estimate, scores)):
        once = estimate(left, labels, prompts)
        copied = estimate(left * 9, labels * 9, prompts * 9)
        ends = (copied.value, copied.low, copied.high, copied.count)
        assert ends == pytest.approx((once.value, once.low, once.high, once.count), abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_holds_its_planted_truth(seed):
    """Normal scores 1 apart: the area is Phi(1 / sqrt 2) = 0.760."""
    rng = random.Random(seed)
    labels = [i % 2 == 0 for i in range(400)]
    scores = [rng.gauss(float(label), 1) for label in labels]
    found = area_estimate(scores, labels, [str(i // 2) for i in range(400)])
    assert found.low < 0.760 < found.high and found.high - found.low < 0.12
    assert found.value == area_under_curve(
        [s for s, y in zip(scores, labels, strict=True) if y],
        [s for s, y in zip(scores, labels, strict=True) if not y],
    )


def test_what_is_not_defined_is_none():
    assert area_estimate([0.1, 0.2], [True, True], ["a", "b"]) is None
    assert kappa_estimate([True], [True], ["a"]) is None
    assert best_threshold([], []) is None
    assert best_threshold([0.3, 0.4], [True, True]) is None


def test_the_best_threshold_is_the_best_of_all():
    rng = random.Random(3)
    labels = [rng.random() < 0.3 for _ in range(120)]
    scores = [round(rng.gauss(0.2 + 0.3 * label, 0.15), 2) for label in labels]
    found = best_threshold(scores, labels)
    kappas = {cut: cohen_kappa([s >= cut for s in scores], labels) for cut in scores}
    assert found.kappa == pytest.approx(max(k for k in kappas.values() if k is not None))
    said = [score >= found.value for score in scores]
    assert found.kappa == pytest.approx(cohen_kappa(said, labels))
    right = sum(one == label for one, label in zip(said, labels, strict=True))
    assert found.accuracy == pytest.approx(right / len(labels))
