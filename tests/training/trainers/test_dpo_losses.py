"""DPO's losses by name, against formulas worked out from the models' own log-probabilities."""

import math

import pytest
from pydantic import ValidationError

from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import preference_rows, settings, write_rows
from training.trainers.config import DPOTrainingConfig

BETA = 0.3


def config(**changes):
    return DPOTrainingConfig(**settings("m", "d", "o", **changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"loss_type": "hinge", "soft_labels": True}, "has no such form"),
        ({"loss_type": "ipo", "length_normalised": True}, "has no such form"),
        ({"loss_type": "robust"}, "needs it above 0"),
        ({"label_smoothing": 0.1}, "loss_type sigmoid does not read it"),
        ({"loss_type": "kto_pair"}, "loss_type"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, told):
    with pytest.raises(ValidationError, match=told):
        config(**changes)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


LOSSES = {
    "sigmoid": lambda c, r: -math.log(sigmoid(BETA * (c - r))),
    "apo_zero": lambda c, r: 1 - sigmoid(BETA * c) + sigmoid(BETA * r),
    "robust": lambda c, r: (
        (-0.8 * math.log(sigmoid(BETA * (c - r))) + 0.2 * math.log(sigmoid(BETA * (r - c)))) / 0.6
    ),
}
"""Of the log-ratios of chosen and rejected answer to the reference."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """By name of the loss, what it is before any step, with another model as the reference; and the
    log-ratios and numbers of tokens of each held-out pair."""
    folder = tmp_path_factory.mktemp("losses")
    build_tiny_model(folder / "policy")
    build_tiny_model(folder / "reference", initializer_range=0.2)
    write_rows(folder / "rows.jsonl", preference_rows(8, seed=1))
    write_rows(folder / "test.jsonl", preference_rows(4, seed=2))

    def loss(name, **changes):
        from training.trainers.dpo import run

        made = settings(folder / "policy", folder / "rows.jsonl", folder / name, beta=BETA)
        made |= {"reference": str(folder / "reference"), "max_steps": 1, "learning_rate": 1e-9}
        made |= {"test_dataset": str(folder / "test.jsonl"), **changes}
        return run(DPOTrainingConfig(**made)).metrics["before"]["loss"]

    return loss, _log_ratios(folder)


def _log_ratios(folder):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder / "policy")
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    models = [
        AutoModelForCausalLM.from_pretrained(folder / name) for name in ("policy", "reference")
    ]

    def ratio(row, side):
        asked = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_dict=False
        )
        ids = tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False)
        ids = ids[: len(ids) - ids[::-1].index(end)]  # nothing after a turn's end is learned
        own, found = torch.tensor(ids[len(asked) :]), []
        for model in models:
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, len(asked) - 1 : -1]
            found.append(logits.log_softmax(-1).gather(1, own[:, None]).sum().item())
        return found[0] - found[1], len(own), found[0]

    return [(ratio(row, "chosen"), ratio(row, "rejected")) for row in preference_rows(4, seed=2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_what_its_paper_says(measured, name):
    loss, pairs = measured
    expected = [LOSSES[name](chosen[0], rejected[0]) for chosen, rejected in pairs]
    smoothed = {"label_smoothing": 0.2} if name == "robust" else {}
    assert loss(name, loss_type=name, **smoothed) == pytest.approx(sum(expected) / 4, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("soft", [False, True])
def test_a_normalised_margin_is_of_log_probabilities_a_token(measured, soft):
    loss, pairs = measured
    p = 0.9 if soft else 1.0
    margins = [BETA * (c[0] / c[1] - r[0] / r[1]) for c, r in pairs]
    expected = [-p * math.log(sigmoid(m)) - (1 - p) * math.log(sigmoid(-m)) for m in margins]
    found = loss(f"normalised-{soft}", length_normalised=True, soft_labels=soft)
    assert found == pytest.approx(sum(expected) / 4, rel=1e-3)


@pytest.mark.slow
def test_the_chosen_answers_own_loss_is_added(measured):
    """Pang et al. 2024 (arXiv 2404.19733), equation 1, over tokens."""
    loss, pairs = measured
    own = -sum(c[2] for c, _ in pairs) / sum(c[1] for c, _ in pairs)
    plain = sum(LOSSES["sigmoid"](c[0], r[0]) for c, r in pairs) / 4
    assert loss("rpo", sft_weight=0.5) == pytest.approx(plain + 0.5 * own, rel=1e-3)
