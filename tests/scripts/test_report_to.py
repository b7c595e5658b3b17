"""Figures and samples of runs and evaluations, as each tracker's own package gets them."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from constitution.problems import InputError
from engine.report.tracked_runs import tracked_labels, tracked_revisions
from engine.report.tracking import Tracked, check_tracker, track
from tests.training.evaluation.rich_results import rich_results
from training.evaluation.tracked import tracked_results

ROOT = Path(__file__).parents[2]
TRACKED = Tracked(
    "first", {"judge": "scripted"}, {"yield": 0.5, "violations/kind": 0.25, "unknown": None},
    ("id", "answer"), [["1", "a | b\n\u202ec"]],
)  # fmt: skip


class Package:
    """Stands in for a tracker: notes every call."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*args, **named):
            self.calls.append((name, args, named))
            return self

        return call

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.calls.append(("end", (), {}))

    def of(self, name):
        return [(args, named) for called, args, named in self.calls if called == name]


@pytest.fixture
def package(monkeypatch):
    def stand_in(name):
        found = Package()
        monkeypatch.setitem(sys.modules, name, found)
        return found

    return stand_in


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_trackers_get_figures_settings_and_the_table(package, tmp_path, name):
    noted = package(name)
    track(name, TRACKED, tmp_path)
    ((_, begun),) = noted.of("init")
    assert (begun["name"], begun["config"]) == ("first", {"judge": "scripted"})
    assert noted.of("log")[0][0] == ({"yield": 0.5, "violations/kind": 0.25},)
    ((_, table),) = noted.of("Table")
    assert table == {"columns": ["id", "answer"], "data": [["1", "a | b\n⟨U+202E⟩c"]]}
    assert noted.of("finish")


def test_mlflow_gets_the_same(package, tmp_path):
    noted = package("mlflow")
    track("mlflow", TRACKED, tmp_path)
    assert noted.of("log_metrics")[0][0] == ({"yield": 0.5, "violations/kind": 0.25},)
    assert noted.of("log_table")[0][0][0]["id"] == ["1"]
    assert noted.of("end")


def test_a_tracker_that_is_missing_is_said_before_anything_is_generated(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="--report-to: wandb is not installed; pip install wandb"):
        check_tracker("wandb")
    check_tracker("none")


def run(*args, cwd):
    command = [sys.executable, "-m", "scripts.solon", *args]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_runs_report_totals_yield_violations_and_samples(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    rows = "".join(json.dumps({"prompt": f"What is {n}?"}) + "\n" for n in range(4))
    (tmp_path / "p.jsonl").write_text(rows, encoding="utf-8")
    common = ("--constitution", "plain-answers", "--prompts", "p.jsonl")
    run("revise", *common, "--model", "scripted", "--out", "run", cwd=tmp_path)
    told = tracked_revisions(tmp_path / "run")
    assert told.known["prompts"] == 4 and told.settings["kind"] == "revise"
    assert any(name.startswith("violations/") for name in told.known)
    assert sum(v for name, v in told.known.items() if name.startswith("outcomes/")) == 4
    assert len(told.rows) == 4 and told.rows[0][1].startswith("What is")
    given = ("--policy", "scripted", "--judge", "scripted", "--out", "labels")
    run("label", *common, *given, cwd=tmp_path)
    told = tracked_labels(tmp_path / "labels")
    assert told.known["pairs"] >= told.known["labelled"] > 0
    assert 0 < told.known["label_yield"] <= 1 and len(told.rows[0]) == len(told.columns)


def test_evaluations_report_every_model_with_its_intervals(tmp_path):
    results = rich_results()
    told = tracked_results(results, tmp_path / "out")
    rate = results.models[1].violations
    assert told.known["sft/violations"] == rate.value
    assert told.known["sft/violations_high"] == rate.high
    assert told.columns == ("set", "id", "prompt", "base", "sft", "dpo")
    assert {len(row) for row in told.rows} == {6}


def test_tensorboards_own_reader_finds_them(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    track("tensorboard", TRACKED, tmp_path)
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(read.Tags()["tensors"]) | set(read.Tags()["scalars"]) == {
        "yield", "violations/kind", "samples/text_summary",
    }  # fmt: skip
