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


class Parent:
    """The hard loss of TRL's reward trainer: -log sigma(margin), whatever the judge said."""

    def __init__(self):
        self._signature_columns = ["chosen_ids"]
        self.seen = []

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        from torch.nn.functional import logsigmoid

        self.seen.append(set(inputs))
        output = model(**{n: v for n, v in inputs.items() if n != "margin"})
        chosen, rejected = output.logits.squeeze(-1).chunk(2)
        return -logsigmoid(chosen - rejected - inputs.get("margin", 0.0)).mean(), output


def reward_loss(margins, probabilities, weights=None, demanded=0.0):
    """The soft loss of a reward model, its slope for each margin, and the trainer."""
    from types import SimpleNamespace

    import torch

    from training.trainers.soft_labels import SoftLabelReward

    class Trainer(SoftLabelReward, Parent):
        pass

    trainer, rejected = Trainer(), torch.full((len(margins), 1), 0.5, dtype=torch.float64)
    chosen = (torch.tensor(margins, dtype=torch.float64)[:, None] + 0.5).requires_grad_()
    output = SimpleNamespace(logits=torch.cat([chosen, rejected]))
    weights = [1.0] * len(margins) if weights is None else weights
    inputs = {"probability": torch.tensor(probabilities, dtype=torch.float32)}
    inputs |= {"input_ids": None, "weight": torch.tensor(weights, dtype=torch.float32)}
    if demanded:
        inputs["margin"] = torch.full((len(margins),), demanded, dtype=torch.float64)
    loss, returned = trainer.compute_loss(lambda input_ids: output, inputs, return_outputs=True)
    assert returned is output
    loss.backward()
    return loss.item(), (chosen.grad[:, 0] * len(margins)).tolist(), trainer


def test_a_reward_models_loss_is_the_same_cross_entropy():
    rng = random.Random(1)
    margins = [rng.gauss(0, 3) for _ in range(50)]
    probabilities = [rng.random() for _ in range(50)]
    loss, slopes, trainer = reward_loss(margins, probabilities)
    pairs = list(zip(margins, probabilities, strict=True))
    assert loss == pytest.approx(sum(formula(*pair) for pair in pairs) / len(pairs))
    assert slopes == pytest.approx([1 / (1 + math.exp(-m)) - p for m, p in pairs], abs=1e-5)
    assert trainer.seen == [{"input_ids"}], "the model is not shown the probability"


@pytest.mark.parametrize("probability", [0.1, 0.9])
def test_a_reward_model_is_moved_to_the_judges_side(probability):
    _, (slope,), _ = reward_loss([0.0], [probability])
    assert slope == pytest.approx(0.5 - probability)


def test_pairs_weigh_and_a_margin_is_demanded():
    rng = random.Random(2)
    margins = [rng.gauss(0, 3) for _ in range(30)]
    probabilities = [rng.random() for _ in range(30)]
    weights = [rng.choice([0.25, 0.5, 3.0]) for _ in range(30)]
    loss, slopes, _ = reward_loss(margins, probabilities, weights, demanded=1.5)
    expected = [
        (w * formula(m - 1.5, p), w * (1 / (1 + math.exp(1.5 - m)) - p))
        for m, p, w in zip(margins, probabilities, weights, strict=True)
    ]
    assert loss == pytest.approx(sum(one for one, _ in expected) / 30)
    assert slopes == pytest.approx([slope for _, slope in expected], abs=1e-5)
