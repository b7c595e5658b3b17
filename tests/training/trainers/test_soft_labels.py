"""The loss of soft labels against its formula, written out."""

import math
import random

import pytest

pytestmark = pytest.mark.slow  # importing torch


def formula(margin, probability):
    def log_sigma(x):
        return -math.log1p(math.exp(-x))

    return -(probability * log_sigma(margin) + (1 - probability) * log_sigma(-margin))


def losses(margins, probabilities):
    import torch

    from training.trainers.soft_labels import soft_label_loss

    margin = torch.tensor(margins, dtype=torch.float64, requires_grad=True)
    loss = soft_label_loss(margin, torch.tensor(probabilities, dtype=torch.float64))
    loss.sum().backward()
    return loss.tolist(), margin.grad.tolist()


def test_it_is_the_cross_entropy_with_the_judges_probability():
    rng = random.Random(0)
    margins = [rng.gauss(0, 3) for _ in range(200)]
    probabilities = [rng.random() for _ in range(200)]
    found, slopes = losses(margins, probabilities)
    assert found == pytest.approx([
        formula(*pair) for pair in zip(margins, probabilities, strict=True)
    ])
    expected = [1 / (1 + math.exp(-m)) - p for m, p in zip(margins, probabilities, strict=True)]
    assert slopes == pytest.approx(expected, abs=1e-5)


def test_a_sure_judge_gives_the_hard_loss():
    found, _ = losses([-2.0, 0.0, 3.0], [1.0, 1.0, 1.0])
    assert found == pytest.approx([math.log1p(math.exp(-m)) for m in (-2.0, 0.0, 3.0)])


def test_it_is_least_where_the_margin_says_what_the_judge_says():
    sure = math.log(0.8 / 0.2)
    found, slopes = losses([sure - 0.1, sure, sure + 0.1], [0.8] * 3)
    assert found[1] < min(found[0], found[2])
    assert slopes[1] == 0 and slopes[0] < 0 < slopes[2]


def test_an_undecided_judge_moves_nothing_where_the_policy_is_the_reference():
    _, slopes = losses([0.0, 1e-6, -1e-6], [0.5] * 3)  # the noise of floating point
    assert slopes == [0, 0, 0]
