"""`solon run` as a process: its stages end with it, and a finished recipe is finished at once."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.shares import Estimate
from scripts.commands.run_recipe import run_stage
from training.evaluation.results import AnswerCounts, ModelResult, Results, write_results
from training.recipe.plan import stages_of
from training.recipe.schema import load_recipe
from training.recipe.stage import begin, decide, run_stages

ROOT = Path(__file__).parents[2]
WAITS = """
import signal, sys, time
count = 0
def stop(number, frame):
    global count
    count += 1
    open(sys.argv[1], "a").write("x")
    raise SystemExit(130)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
open(sys.argv[1] + ".started", "w").close()
time.sleep(600)
"""
PARENT = """
import sys
from unittest.mock import patch
from scripts.commands import run_recipe
real = run_recipe.subprocess.Popen
def fake(command, **options):
    return real([sys.executable, sys.argv[1], sys.argv[2]], **options)
class Stage:
    accelerate = None
with patch.object(run_recipe.subprocess, "Popen", fake):
    sys.exit(run_recipe.run_stage(Stage(), []))
"""


@pytest.fixture
def waiting(tmp_path):
    """A process that runs a stage which waits to be interrupted."""
    (tmp_path / "waits.py").write_text(WAITS, encoding="utf-8")
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    log = tmp_path / "log"
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py", tmp_path / "waits.py", log],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert _within(120, (tmp_path / "log.started").exists)
    yield parent, log
    parent.kill()
    parent.wait()


def _within(seconds, true):
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_reaches_the_stage_once(waiting, number):
    parent, log = waiting
    parent.send_signal(number)
    assert parent.wait(120) == 130
    assert log.read_text(encoding="utf-8") == "x"


def test_a_stage_does_not_outlive_a_killed_pipeline(waiting):
    parent, log = waiting
    parent.kill()
    assert _within(120, lambda: log.exists() and log.read_text(encoding="utf-8") == "x")


def solon(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "scripts.solon", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def finished(tmp_path) -> Path:
    """The quickstart's directory after a run of stand-ins for its stages."""

    def leave(stage, _command):
        for file in stage.product:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text('{"complete": true}', "utf-8")
            if file.name == "results.json":
                write_results(RESULTS, file.parent)
        return 0

    recipe, file = load_recipe("quickstart-cpu")
    out = tmp_path / "out"
    stages = stages_of(recipe, Path(os.path.relpath(file, ROOT)), out)
    run_stages(recipe, stages, out, leave, lambda _: None)
    return out


RESULTS = Results(
    constitution="harmlessness",
    constitution_hash="",
    principles=(),
    prompts="held_out.jsonl",
    prompt_count=12,
    judge="embedded",
    models=(
        ModelResult(
            "base", "embedded", AnswerCounts(12, 0, 0, 1, 40.0, 2), Estimate(0.5, 0.2, 0.8, 12)
        ),
    ),
)


def test_a_finished_recipe_says_so_in_seconds_and_shows_its_table(finished, monkeypatch):
    monkeypatch.chdir(ROOT)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    result = solon("run", "quickstart-cpu", "--out", finished)
    assert result.returncode == 0, result.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10
    assert "nothing to do: every stage is unchanged" in result.stderr
    assert "50% [20–80%]" in result.stdout and "Verdicts undecided" in result.stdout


def test_planning_says_what_would_run_and_runs_nothing(tmp_path):
    result = solon("run", "quickstart-cpu", "--out", tmp_path / "out", "--plan")
    assert result.returncode == 0 and "sft: start (not run yet)" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_is_not_there_is_one_line(tmp_path):
    result = solon("run", "quickstart")
    assert result.returncode == 2
    assert result.stderr == "quickstart: not a recipe; did you mean 'quickstart-cpu'?\n"


def test_a_stage_is_a_command_of_solon(tmp_path):
    recipe, file = load_recipe("quickstart-cpu")
    split = stages_of(recipe, file, tmp_path)[0]
    command = begin(split, tmp_path, decide(split, tmp_path))
    assert run_stage(split, command) == 0
    assert (tmp_path / "prompts" / "train.jsonl").is_file()


# What a plan says of GPUs -------------------------------------------------------------------------


def test_a_plan_for_a_machine_that_is_not_here_says_memory_hours_and_money(tmp_path):
    plan = ("run", "grpo-judge", "--out", tmp_path / "out", "--plan", "--gpu", "H100-80GB x2")
    result = solon(*plan, "--price", "2.5")
    assert result.returncode == 0, result.stderr
    said = result.stderr
    assert "memory on each GPU, estimated, of H100-80GB x2 (79.1 GiB each)" in said
    assert "grpo: " in said and "vLLM 23.7); at most about" in said
    assert "the server at localhost:8000 with Qwen/Qwen2.5-7B-Instruct" in said
    assert "GPU-hours: about " in said and " at 2.5 each" in said


def test_what_cannot_fit_is_refused(tmp_path):
    result = solon("run", "grpo-judge", "--out", tmp_path / "out", "--plan", "--gpu", "T4")
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("grpo: ") and "; fits with " in lines[-1], lines[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gpu", "H100"), "--gpu: is read with --plan alone"),
        (("--price", "2"), "--price: is read with --plan alone"),
        (("--plan", "--gpu", "large"), "--gpu large: is not a GPU whose memory is known"),
    ],
)
def test_options_of_a_plan_are_checked(options, said, tmp_path):
    result = solon("run", "quickstart-cpu", "--out", tmp_path / "out", *options)
    assert result.returncode == 2 and said in result.stderr


def test_a_training_is_planned_by_its_file(tmp_path):
    config = tmp_path / "sft.yaml"
    text = f"{{model: org/model-70B, dataset: rows, out: {tmp_path / 'out'}}}"
    config.write_text(text, encoding="utf-8")
    plan = ("train", "sft", "--config", config, "--plan")
    assert solon(*plan, "--gpu", "H100", "--set", "lora.r=8").returncode == 2
    result = solon(*plan, "--gpu", "B200", "--set", "lora.r=8")
    assert result.returncode == 0 and "frozen weights 130.4" in result.stderr, result.stderr
