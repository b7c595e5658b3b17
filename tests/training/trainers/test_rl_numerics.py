"""What TRL's trainers compute as they are set up here, against formulas written down independently."""

import json

import pytest

from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import preference_rows, settings, write_rows
from training.trainers.config import KTOTrainingConfig, RLOOTrainingConfig

pytestmark = pytest.mark.slow

BETA = 0.3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("trl")
    folder = tmp_path_factory.mktemp("numerics")
    build_tiny_model(folder / "base")
    return folder


def moved(model):
    """Another policy than the reference, the same each time."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator))


def logprob(model, prompt, answer):
    """Of an answer's tokens, summed."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([prompt + answer])).logits[0, :-1].float().log_softmax(-1)
    told = logits.gather(1, torch.tensor(prompt + answer)[1:, None])[:, 0]
    return told[len(prompt) - 1 :].sum().item()


@pytest.mark.parametrize("soft", [False, True])
def test_the_loss_of_kto(folder, soft, monkeypatch):
    """Equation 7 of Ethayarajh et al. (2024), with the KL of neighbours, and its mean over what the
    labels may be where they are soft: its gradient, as constants do not count."""
    import torch
    from transformers import AutoModelForCausalLM

    from training.trainers import kto, rows_trainer

    rows = write_rows(folder / f"kto{soft}.jsonl", preference_rows(12, probability=0.8))
    kept = {}

    def stop(trainer, *_, **__):
        kept["trainer"] = trainer
        raise InterruptedError

    monkeypatch.setattr(rows_trainer, "fit", stop)
    given = settings(
        folder / "base", rows, folder / f"out{soft}", batch_size=6, beta=BETA, soft_labels=soft,
        undesirable_weight=1.5, eval_share=0.0,
    )  # fmt: skip
    with pytest.raises(InterruptedError):
        kto.run(KTOTrainingConfig.model_validate(given))
    trainer = kept["trainer"]
    reference = AutoModelForCausalLM.from_pretrained(folder / "base").eval()
    batch = trainer.data_collator(trainer.train_dataset.select(range(6)).to_list())
    trainer.model.eval()
    moved(trainer.model)
    trainer.compute_loss(trainer.model, batch).backward()
    found = trainer.model.lm_head.weight.grad.clone()

    # By hand: v = sigma(beta (r - z)) for a good answer, sigma(beta (z - r)) for a bad one.
    examples = trainer.train_dataset.select(range(6)).to_list()
    pairs = [(e["prompt_ids"], e["KL_completion_ids"]) for e in examples]
    z = sum(logprob(trainer.model, *p) - logprob(reference, *p) for p in pairs) / len(pairs)
    z = max(z, 0.0)
    trainer.model.zero_grad()
    total = torch.tensor(0.0)
    for e in examples:
        ids = torch.tensor([e["prompt_ids"] + e["completion_ids"]])
        told = trainer.model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
        ratio = told[len(e["prompt_ids"]) - 1 :].sum() - logprob(
            reference, e["prompt_ids"], e["completion_ids"]
        )
        liked, disliked = torch.sigmoid(BETA * (ratio - z)), torch.sigmoid(BETA * (z - ratio))
        sure = 0.8 if soft else 1.0
        right, wrong = (liked, disliked) if e["label"] else (disliked, liked)
        value = sure * (1 - right) + (1 - sure) * (1 - wrong)
        total = total + (1.5 * value)  # pairs: as many good ones as bad ones
    (total / len(examples)).backward()
    wanted = trainer.model.lm_head.weight.grad
    assert wanted.abs().max() > 1e-4
    torch.testing.assert_close(found, wanted, rtol=2e-3, atol=1e-6)


def test_the_advantage_of_rloo_is_over_the_mean_of_the_others(folder, monkeypatch):
    from trl import RLOOTrainer

    from training.trainers import rloo
    from training.trainers.rewards import ConstitutionalReward

    rows = [
        {"prompt": [{"role": "user", "content": f"Question {n}?"}], "id": f"p{n}"} for n in range(8)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "prompts.jsonl").write_text(lines, encoding="utf-8")
    (folder / "rules.yaml").write_text(
        "name: r\nprinciples:\n"
        "  - {id: short, statement: It is short., check: {max_words: 2}}\n"
        "  - {id: bare, statement: It has no e., check: {forbid: ['/e/']}}\n",
        encoding="utf-8",
    )
    paid, advantages = [], []
    score, call = RLOOTrainer._generate_and_score_completions, ConstitutionalReward.__call__

    async def paying(self, *arguments, **options):
        rewards = await call(self, *arguments, **options)
        rewards[0] = None  # as a judge that failed
        paid.append(list(rewards))
        return rewards

    def scoring(self, inputs):
        output = score(self, inputs)
        advantages.append(output["advantages"].tolist())
        return output

    monkeypatch.setattr(ConstitutionalReward, "__call__", paying)
    monkeypatch.setattr(RLOOTrainer, "_generate_and_score_completions", scoring)
    config = RLOOTrainingConfig.model_validate({
        "model": str(folder / "base"), "dataset": str(folder / "prompts.jsonl"),
        "out": str(folder / "rloo"), "constitution": str(folder / "rules.yaml"),
        "rewards": [{"check": "all"}], "beta": 0.0, "max_steps": 2, "batch_size": 8,
        "generations": 4, "max_answer": 12, "max_length": 64, "eval_share": 0.0,
    })  # fmt: skip
    rloo.run(config)
    assert len(paid) == len(advantages) == 2
    for rewards, found in zip(paid, advantages, strict=True):
        for start in range(0, 8, 4):
            group = rewards[start : start + 4]
            for place, reward in enumerate(group):
                others = [r for at, r in enumerate(group) if at != place and r is not None]
                wanted = 0.0 if reward is None else reward - sum(others) / len(others)
                assert found[start + place] == pytest.approx(wanted, abs=1e-6)
    assert any(value for step in advantages for value in step)
