"""PPO on a tiny random model: its loss by hand, a planted reward, and an interrupted training."""

import pytest

from constitution.problems import InputError
from engine.generators.base import Choice, GeneratorUnavailable
from engine.generators.scripted import ScriptedGenerator
from engine.storage.jsonl import read_jsonl
from tests.engine.tiny_model import build_tiny_tokenizer
from tests.training.trainers.test_rl_numerics import moved
from tests.training.trainers.vowels import build_reward_model, config_of, write_inputs
from training.trainers.config import PPOTrainingConfig, RLOOTrainingConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("trl")
    folder = tmp_path_factory.mktemp("ppo")
    write_inputs(folder, [f"Question {number}?" for number in range(64)])
    build_reward_model(folder)
    return folder


def config(folder, out, kind=PPOTrainingConfig, **changes):
    return config_of(kind, folder, out, **({"eval_share": 0.0} | changes))


def test_a_planted_reward_rises_as_with_rloo(folder):
    """From as many answers, in as many steps."""
    from training.trainers import ppo, rloo

    found = {}
    for name, run, kind, changes in (
        ("ppo", ppo.run, PPOTrainingConfig, {"inner_epochs": 1}),
        ("rloo", rloo.run, RLOOTrainingConfig, {}),
    ):
        settings = {"beta": 0.02, "max_steps": 14, "learning_rate": 1e-2, **changes}
        metrics = run(config(folder, name, kind, **settings)).metrics
        assert metrics["sampled"]["answers"] == 14 * 32
        found[name] = metrics["end"]["reward"] - metrics["start"]["reward"]
        assert metrics["end"]["kl"] > metrics["start"]["kl"]
    assert found["ppo"] > 0.1 and found["rloo"] > 0.1
    lines = [line for line in read_jsonl(folder / "ppo" / "log.jsonl") if "loss" in line]
    needed = {"reward", "kl", "score/judge", "kl_of_answer", "kl_weight", "value", "value_loss"}
    assert len(lines) == 14 and all(needed <= line.keys() for line in lines)
    assert lines[-1]["value_loss"] < lines[0]["value_loss"] / 2


def step_of(folder, out, monkeypatch, **changes):
    """A trainer that is not trained, and the answers of its first step."""
    from training.trainers import grpo, ppo
    from training.trainers.rewards import ConstitutionalReward

    call, kept = ConstitutionalReward.__call__, {}

    async def paying(self, *arguments, **options):
        rewards = await call(self, *arguments, **options)
        rewards[0] = None  # as a judge that failed
        kept["rewards"] = rewards
        return rewards

    def stop(trainer, *_, **__):
        trainer.model.train()
        kept["trainer"] = trainer
        batch = [trainer.train_dataset[row] for row in range(4)]
        kept["answers"] = trainer._generate_and_score_completions(batch)
        raise InterruptedError

    monkeypatch.setattr(ConstitutionalReward, "__call__", paying)
    monkeypatch.setattr(grpo, "fit", stop)
    with pytest.raises(InterruptedError):
        ppo.run(config(folder, out, batch_size=4, **changes))
    return kept["trainer"], kept["answers"], kept["rewards"]


def scores(model, ids):
    """Log-probabilities of the tokens after the first, and the last hidden states before them."""
    out = model(ids, output_hidden_states=True)
    logps = out.logits[0, :-1].float().log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
    return logps, out.hidden_states[-1][0, :-1]


@pytest.mark.parametrize("at", ["token", "answer"])
def test_the_loss_by_hand(folder, at, monkeypatch):
    """Of what was sampled, after both models have moved: equation 7 of Schulman et al. 2017 with the
    advantages of 2016's equation 16, whitened, and the clipped value loss, each over all tokens."""
    import torch

    beta, lam, clip, weight = 0.3, 0.9, 0.2, 0.5
    trainer, answers, rewards = step_of(
        folder, f"loss-{at}", monkeypatch, beta=beta, kl=at, gae_lambda=lam, clip=clip,
        value_weight=weight, value_clip=0.05, learning_rate=1e-3,
    )  # fmt: skip
    assert torch.equal(answers["values"], torch.zeros_like(answers["values"]))  # a new head says 0
    head = trainer.value.linear
    moved(trainer.model)
    moved(head)
    answers = dict(answers)
    kl = torch.zeros_like(answers["values"])  # the policy was the reference

    wanted_advantages, wanted_returns = [], []
    lengths = answers["completion_mask"].sum(1).tolist()
    for row, (reward, length) in enumerate(zip(rewards, lengths, strict=True)):
        if reward is None:
            continue
        earned = [-beta * kl[row, token].item() for token in range(length)]
        earned[-1] += reward
        for token in range(length):  # values are 0: what is earned later, shrunk by lambda
            later = sum(lam ** (k - token) * earned[k] for k in range(token, length))
            wanted_advantages.append(later)
            wanted_returns.append(later)
    advantages = torch.tensor(wanted_advantages)
    advantages = (advantages - advantages.mean()) / (advantages.var(unbiased=False) + 1e-8).sqrt()

    trainer.current_gradient_accumulation_steps = 1
    loss = trainer._compute_loss(trainer.model, answers)
    total, values, at_token = 0.0, 0.0, 0
    for row, (reward, length) in enumerate(zip(rewards, lengths, strict=True)):
        if reward is None:
            continue
        prompt = answers["prompt_ids"][row][answers["prompt_mask"][row].bool()]
        ids = torch.cat([prompt, answers["completion_ids"][row, :length]])[None]
        logps, hidden = scores(trainer.model, ids)
        logps, hidden = logps[len(prompt) - 1 :], hidden[len(prompt) - 1 :]
        with torch.no_grad():
            old, _ = scores(trainer.ref_model, ids)
        for token in range(length):
            advantage, earned = advantages[at_token], wanted_returns[at_token]
            ratio = (logps[token] - old[len(prompt) - 1 + token]).exp()
            total += -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
            value = head(hidden[token])[0]
            near = value.clamp(-0.05, 0.05)
            values += 0.5 * torch.max((value - earned) ** 2, (near - earned) ** 2)
            at_token += 1
    wanted = (total + weight * values) / sum(lengths)
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-6)
    loss.backward()
    found = trainer.model.lm_head.weight.grad.clone(), head.weight.grad.clone()
    trainer.model.zero_grad()
    head.zero_grad()
    wanted.backward()
    for mine, theirs in zip(found, (trainer.model.lm_head, head), strict=True):
        assert theirs.weight.grad.abs().max() > 1e-4
        torch.testing.assert_close(mine, theirs.weight.grad, rtol=2e-3, atol=1e-6)


def test_answers_without_a_reward_teach_nothing(folder, monkeypatch):
    _, answers, rewards = step_of(folder, "none", monkeypatch)
    assert rewards[0] is None
    assert answers["scored"][0].sum() == 0 and not answers["advantages"][0].any()
    assert answers["scored"][1:].sum() == answers["completion_mask"][1:].sum()
    assert answers["advantages"].sum() == pytest.approx(0.0, abs=1e-4)


def test_a_value_model_says_what_the_reward_model_does(folder, monkeypatch):
    """At each token what it would give a conversation that ended there."""
    import torch
    from transformers import AutoModelForSequenceClassification

    trainer, answers, _ = step_of(
        folder, "value", monkeypatch, value_model=str(folder / "reward"), lora={"r": 4}
    )
    model = AutoModelForSequenceClassification.from_pretrained(folder / "reward").eval()
    prompt = answers["prompt_ids"][1][answers["prompt_mask"][1].bool()]
    for token in (0, 5):
        ids = torch.cat([prompt, answers["completion_ids"][1, :token]])[None]
        with torch.no_grad():
            wanted = model(ids).logits.item()
        assert answers["values"][1, token].item() == pytest.approx(wanted, abs=1e-4)
    # Trained: adapters of both, and the value model's head.
    trained = [name for name in trainer._trained() if "score" not in name]
    assert trained and all("lora_" in name for name in trained)
    assert len(trainer._trained()) == len(trained) + 1


def test_an_interrupted_training_ends_as_an_uninterrupted_one(folder, monkeypatch):
    """Value function, its optimizer and the weight of the KL are in the checkpoint."""
    from training.trainers.ppo import run

    asked = []

    async def goes_away(self, messages, choices, *, priority=0):
        asked.append(messages)
        if len(asked) > 8:
            raise GeneratorUnavailable("the server is gone")
        return Choice((0.5, 0.5), 1.0)

    async def stays(self, messages, choices, *, priority=0):
        return Choice((0.5, 0.5), 1.0)

    changes = {
        "max_steps": 4, "inner_epochs": 2, "save_every": 2, "batch_size": 8, "learning_rate": 3e-3,
        "target_kl": 0.5, "value_model": str(folder / "reward"),
    }  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(ScriptedGenerator, "choose", goes_away)
        with pytest.raises(GeneratorUnavailable, match="the server is gone"):
            run(config(folder, "gone", **changes))
    checkpoint = folder / "gone" / "checkpoints" / "checkpoint-2"
    assert {"value.safetensors", "kl.json"} <= {path.name for path in checkpoint.iterdir()}
    told = []
    monkeypatch.setattr(ScriptedGenerator, "choose", stays)
    run(config(folder, "gone", **changes), report=told.append)
    run(config(folder, "whole", **changes))
    assert "resuming from step 2" in told
    gone, whole = (list(read_jsonl(folder / out / "log.jsonl")) for out in ("gone", "whole"))
    compared = ("step", "loss", "grad_norm", "kl", "kl_weight", "value", "value_loss")
    for mine, theirs in zip(gone, whole, strict=True):
        found, wanted = ({k: line[k] for k in compared if k in line} for line in (mine, theirs))
        assert found == pytest.approx(wanted, rel=1e-4)
    assert any("value_loss" in line and "kl_weight" in line for line in whole[2:])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"value_model": "nowhere"}, "nowhere: cannot be loaded"),
        ({"value_model": "other"}, "value_model other has another tokenizer|other: has another"),
        ({"generations": 5}, "32 answers a step cannot be shared out as 5 a prompt"),
        ({"batch_size": 1}, "one answer a step has nothing to be compared with"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(folder, changes, told, monkeypatch):
    from training.trainers.ppo import run

    monkeypatch.chdir(folder)
    build_tiny_tokenizer(folder / "other", vocabulary=300)
    with pytest.raises(InputError, match=told):
        run(config(folder, "wrong", **changes))
    assert not (folder / "wrong").exists()


def test_sharding_is_refused(folder, monkeypatch):
    from training.trainers.ppo import run

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match="not sharded over GPUs"):
        run(config(folder, "wrong"))
