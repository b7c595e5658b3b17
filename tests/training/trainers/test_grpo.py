"""Online RLAIF on a tiny random model: a planted judge's reward rises, and nothing else is paid."""

import json
import os
from pathlib import Path

import pytest

from constitution.problems import InputError, Stopped
from engine.generators.base import Choice, GeneratorUnavailable
from engine.generators.scripted import ScriptedGenerator
from engine.storage.jsonl import read_jsonl
from tests.training.trainers.vowels import build_reward_model, config_of, write_inputs
from training.trainers.config import GRPOTrainingConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("trl")
    folder = tmp_path_factory.mktemp("grpo")
    write_inputs(folder, [*(f"Question {number}?" for number in range(64)), "Why? " * 100])
    return folder


def config(folder: Path, out: str = "out", **changes) -> GRPOTrainingConfig:
    settings = {"max_steps": 24, "learning_rate": 1e-2} | changes
    return config_of(GRPOTrainingConfig, folder, out, **settings)


@pytest.fixture(scope="module")
def trained(folder):
    from training.trainers.grpo import run

    return run(config(folder))


def test_the_planted_reward_rises(trained):
    metrics = trained.metrics
    assert metrics["end"]["reward"] > metrics["start"]["reward"] + 0.1
    assert metrics["end"]["score/judge"] == pytest.approx(metrics["end"]["reward"])
    assert metrics["after"]["reward"] > metrics["before"]["reward"]
    assert metrics["end"]["kl"] > metrics["start"]["kl"] >= 0


def test_the_manifest_says_who_rewarded_what(trained, folder):
    manifest = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["complete"]
    assert manifest["steps"] == 24
    assert manifest["identity"]["judge"].startswith("scripted:")
    assert manifest["identity"]["constitution"] == manifest["constitution"]
    assert len(manifest["constitution"]) == 16
    assert manifest["dropped"] == {"longer than max_length": 1}
    assert manifest["metrics"]["sampled"]["unrewarded"] == 0
    assert manifest["metrics"]["sampled"]["answers"] >= 24 * 32
    assert manifest["metrics"]["failures"] == {}


def test_tokens_read_and_sampled_count_for_the_budget_and_the_pace(trained):
    metrics = trained.metrics
    assert metrics["cost"]["tokens"] > 2 * 24 * 32, "each of 32 answers has a prompt and a token"
    assert metrics["tokens_per_second"] > 0


def test_the_log_has_what_tells_a_good_run_from_a_bad_one(trained, folder):
    lines = [line for line in read_jsonl(folder / "out" / "log.jsonl") if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, 25))
    needed = {"reward", "kl", "score/judge", "unrewarded", "non_answers"}
    assert all(needed <= line.keys() for line in lines)


def test_the_model_loads(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(trained.model)
    assert AutoTokenizer.from_pretrained(trained.model).chat_template


def test_a_finished_training_is_not_done_again(trained, folder):
    from training.trainers.grpo import run

    assert run(config(folder)).already_complete


def test_judge_and_reward_model_together_and_an_undecided_judge_counts_as_none(folder):
    from training.trainers.grpo import run

    decided = (folder / "judge.yaml").read_text(encoding="utf-8")
    undecided = decided.replace("[1.0, 0.0]", "[1.0, 0.0], mass: 0.0")
    (folder / "undecided.yaml").write_text(undecided, encoding="utf-8")
    build_reward_model(folder)
    changes = {
        "judge": f"scripted:{folder / 'undecided.yaml'}",
        "reward_model": str(folder / "reward"),
        "max_steps": 2,
        "eval_share": 0.0,
        "lora": {"r": 4},
    }
    result = run(config(folder, "both", **changes))
    sampled, failures = result.metrics["sampled"], result.metrics["failures"]
    reason = "judge: the judge answered neither Yes nor No"
    assert failures == {reason: sampled["unrewarded"]}
    assert sampled["answers"] == 64 > sampled["unrewarded"] > 0
    assert result.metrics["end"]["score/reward_model"] == pytest.approx(0.5, abs=0.4)
    assert (result.out / "adapter" / "adapter_config.json").exists()
    assert (result.model / "config.json").exists()


def test_a_judge_that_never_answers_stops_the_training(folder):
    from training.trainers.grpo import run

    (folder / "mute.yaml").write_text("rules: [{fail: timeout}]", encoding="utf-8")
    changes = {"judge": f"scripted:{folder / 'mute.yaml'}"}
    with pytest.raises(Stopped, match="timeout"):
        run(config(folder, "mute", **changes))
    assert not (folder / "mute" / "model").exists()


def test_a_judge_that_goes_away_stops_the_training_which_then_goes_on(folder, monkeypatch):
    from training.trainers.grpo import run

    asked = []

    async def goes_away(self, messages, choices, *, priority=0):
        asked.append(messages)
        if len(asked) > 3 * 32:
            raise GeneratorUnavailable("the server is gone")
        return Choice((0.5, 0.5), 1.0)

    changes = {"max_steps": 4, "save_every": 2, "eval_share": 0.0}
    with monkeypatch.context() as patched:
        patched.setattr(ScriptedGenerator, "choose", goes_away)
        with pytest.raises(GeneratorUnavailable, match="the server is gone"):
            run(config(folder, "gone", **changes))
    told = []
    result = run(config(folder, "gone", **changes), report=told.append)
    assert "resuming from step 2" in told
    assert result.steps == 4
    assert result.metrics["sampled"]["answers"] == 2 * 32
    lines = read_jsonl(folder / "gone" / "log.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"generations": 5}, "32 answers a step cannot be shared out as 5 a prompt"),
        ({"judge": "scirpted"}, "not a kind of generator"),
        ({"constitution": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(folder, changes, told):
    from training.trainers.grpo import run

    with pytest.raises(InputError, match=told):
        run(config(folder, "wrong", **changes))
    assert not os.path.exists(folder / "wrong")
