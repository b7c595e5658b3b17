"""A training that is killed and started again ends as one that was not."""

import json
import subprocess
import sys

import pytest
import yaml

from tests.engine.tiny_model import build_tiny_model
from tests.training.trainer_data import preference_rows, settings, sft_rows, write_rows
from training.trainers.config import DPOTrainingConfig, SFTTrainingConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Settings of an SFT and a DPO that were killed after their first checkpoint."""
    folder = tmp_path_factory.mktemp("killed")
    model = build_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", sft_rows(96))
    write_rows(folder / "dpo.jsonl", preference_rows(96))
    found, arguments = {}, []
    for task in ("sft", "dpo"):
        chosen = settings(
            model,
            folder / f"{task}.jsonl",
            folder / task,
            epochs=2.0,
            save_every=4,
            keep_checkpoints=2,
        )
        found[task] = chosen
        (folder / f"{task}.yaml").write_text(yaml.safe_dump(chosen), encoding="utf-8")
        arguments += [task, str(folder / f"{task}.yaml")]
    command = [sys.executable, "-m", "tests.training.train_worker", *arguments]
    subprocess.run(command, check=True, timeout=300)
    return found


def weights(path):
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


@pytest.mark.parametrize("task", ["sft", "dpo"])
def test_a_killed_training_ends_as_one_that_was_not(killed, task, tmp_path):
    import torch

    from training.trainers import dpo, sft

    module, kind = {"sft": (sft, SFTTrainingConfig), "dpo": (dpo, DPOTrainingConfig)}[task]
    told = []
    resumed = module.run(kind(**killed[task]), report=told.append)
    whole = module.run(kind(**{**killed[task], "out": str(tmp_path / "whole")}))
    assert any(line.startswith("resuming from step") for line in told)
    assert resumed.steps == whole.steps
    lines = [*map(json.loads, (resumed.out / "log.jsonl").read_text(encoding="utf-8").splitlines())]
    steps = [line["step"] for line in lines if "loss" in line]
    assert steps == list(range(1, whole.steps + 1))
    assert resumed.metrics["after"]["loss"] == pytest.approx(
        whole.metrics["after"]["loss"], rel=0.01
    )
    for name, expected in weights(whole.model).items():
        torch.testing.assert_close(weights(resumed.model)[name], expected, rtol=1e-2, atol=1e-3)


def test_checkpoints_that_were_asked_for_stay(killed):
    from training.trainers.sft import run

    result = run(SFTTrainingConfig(**killed["sft"]))
    assert result.already_complete
    assert len(list((result.out / "checkpoints").glob("checkpoint-*"))) == 2
