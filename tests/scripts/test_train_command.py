"""`solon train` on what it cannot use: one clear line each, exit code 2, nothing written."""

import subprocess
import sys
from io import StringIO

import pytest
import yaml
from rich.console import Console

from scripts.commands.train import print_training
from tests.training.trainer_data import preference_rows, sft_rows, write_rows
from training.trainers.output import TrainingResult


def solon(*arguments):
    command = [sys.executable, "-m", "scripts.solon", "train", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def config(tmp_path, **settings):
    path = tmp_path / "config.yaml"
    given = {
        "model": "model",
        "dataset": str(tmp_path / "rows.jsonl"),
        "out": str(tmp_path / "out"),
    }
    path.write_text(yaml.safe_dump({**given, **settings}), encoding="utf-8")
    return path


def without_rejected():
    return [{k: v for k, v in row.items() if k != "rejected"} for row in preference_rows(3)]


@pytest.mark.parametrize(
    ("trainer", "rows", "settings", "told"),
    [
        ("sft", sft_rows(3), {"learning_rte": 1}, "did you mean 'learning_rate'?"),
        ("sft", sft_rows(3), {"batch_size": "many"}, "batch_size is 'many'"),
        ("dpo", preference_rows(3), {"beta": -1}, "beta is -1"),
        ("sft", [], {}, "no row to use"),
        ("dpo", without_rejected(), {}, "rows.jsonl:1: has no 'rejected'"),
        ("reward-model", without_rejected(), {}, "rows.jsonl:1: has no 'rejected'"),
        ("dpo", sft_rows(3), {}, "has no 'chosen'"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, trainer, rows, settings, told):
    write_rows(tmp_path / "rows.jsonl", rows)
    done = solon(trainer, "--config", config(tmp_path, **settings))
    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    write_rows(tmp_path / "rows.jsonl", sft_rows(3))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x", encoding="utf-8")
    done = solon("sft", "--config", config(tmp_path), "--overwrite")
    assert done.returncode == 2 and "thesis.tex" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]


def test_resuming_and_overwriting_at_once_is_refused(tmp_path):
    done = solon("sft", "--config", config(tmp_path), "--resume", "--overwrite")
    assert done.returncode == 2 and "contradicts" in done.stderr


def test_of_sampled_answers_the_reward_is_shown_and_not_the_loss(tmp_path):
    moved = {"start": {"reward": 0.4, "kl": 0.0}, "end": {"reward": 0.8, "kl": 0.1}}
    result = TrainingResult(
        trainer="rloo", out=tmp_path, steps=8, seconds=60.0, rows={"train": 9}, dropped={},
        metrics={"train_loss": 1e-9, "tokens_per_second": 20.0, **moved},
    )  # fmt: skip
    console = Console(record=True, width=80, file=StringIO())
    print_training(result, console)
    said = console.export_text()
    assert said.split("\n")[0].split() == ["first", "steps", "last", "steps"]
    assert [line.split() for line in said.splitlines() if line.startswith("reward")] == [
        ["reward", "0.40", "0.80"]
    ]
    assert "loss" not in said
