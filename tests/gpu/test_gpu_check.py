"""The check of a GPU: its steps where there is one, and everything around them where there is none."""

import json
import sys
import time

import pytest

from tests.gpu import check, serving
from tests.gpu.check import Outcome, run_steps, table
from tests.gpu.steps import STEPS


@pytest.mark.gpu
@pytest.mark.parametrize("step", STEPS)
def test_on_the_gpu(step, tmp_path):
    (done,) = run_steps([step], tmp_path, time.monotonic() + 480)
    assert done.state in ("passed", "skipped"), (tmp_path / f"{step}.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["attention", "grpo"])
def test_rehearsed_on_a_cpu(step, tmp_path):
    """Those that need no engine and take seconds."""
    (done,) = run_steps([step], tmp_path, time.monotonic() + 480)
    assert done.state == "passed", (tmp_path / f"{step}.log").read_text(encoding="utf-8")
    assert done.figures


@pytest.fixture
def scripted(monkeypatch, tmp_path):
    """Steps that are small programs."""

    def made(**programs):
        script = "import json, sys, time\nname = sys.argv[1]\n" + "".join(
            f"if name == {name!r}:\n    {program}\n" for name, program in programs.items()
        )
        file = tmp_path / "steps.py"
        file.write_text(script, encoding="utf-8")
        popen = check.subprocess.Popen

        def start(command, **options):
            assert command[:3] == [sys.executable, "-m", "tests.gpu.steps"]
            return popen([sys.executable, str(file), *command[3:]], **options)

        monkeypatch.setattr(check.subprocess, "Popen", start)
        return tmp_path

    return made


def test_a_step_that_fails_or_hangs_takes_no_other_with_it(scripted, monkeypatch):
    folder = scripted(
        good="print('noise'); print(json.dumps({'x barrier': 1.5}))",
        bad="raise ValueError('vLLM and transformers differ')",
        alone="print(json.dumps({'skipped': 'one GPU'}))",
        hanging="time.sleep(60)",
    )
    monkeypatch.setattr(check, "_LEAST", 0.5)
    began = time.monotonic()
    done = run_steps(["good", "bad", "alone", "hanging", "good"], folder, began + 12)
    assert time.monotonic() - began < 30
    assert [each.state for each in done] == ["passed", "failed", "skipped", "failed", "not run"]
    assert done[0].figures == {"x barrier": 1.5}
    assert done[1].figures["why"] == "ValueError: vLLM and transformers differ"


def test_rows_of_steps_run_beside_each_other_and_the_others_alone(scripted, monkeypatch):
    waits = "time.sleep(1.5); print(json.dumps({'ended': time.time()}))"
    folder = scripted(one=waits, two=waits, three=waits, timed=waits)
    monkeypatch.setattr(check, "AT_ONCE", (("one", "two"), ("three", "unasked")))
    done = check.run_all(["timed", "one", "two", "three"], folder, 60, beside=True)
    ended = {each.step: each.figures["ended"] for each in done}
    assert list(ended) == ["timed", "one", "two", "three"]
    assert ended["three"] < ended["two"] < ended["timed"] - 1
    assert ended["one"] < ended["two"] - 1


def test_the_table_has_a_line_for_each_step():
    outcomes = [
        Outcome("engine", "passed", 31.2, {"choose": 0.0004, "score": 0.001}),
        Outcome("bench", "failed", 8.0, {"why": "a | b"}),
    ]
    lines = table(outcomes, "H100-80GB", {"torch": "2.13.0"}).splitlines()
    assert lines[0] == "`make gpu-check` on H100-80GB: torch 2.13.0."
    assert lines[-2:] == [
        "| engine | passed | 31 | choose 0.0004, score 0.001 |",
        "| bench | failed | 8 | why a \\| b |",
    ]


def test_an_unknown_step_is_refused(capsys):
    with pytest.raises(SystemExit):
        check.main(["engin"])
    assert "no step is called engin" in capsys.readouterr().err


def test_an_engine_of_the_check_is_small_and_quick_to_start(monkeypatch, tmp_path):
    from engine.generators.spec import read_spec

    monkeypatch.setattr(serving, "has_gpu", lambda: True)
    options = read_spec(serving.engine_spec(tmp_path, dtype="float32")).options
    assert options["enforce_eager"] is True and options["gpu_memory_utilization"] == 0.2
    assert options["dtype"] == "float32" and options["max_model_len"] == 1024


def test_the_shapes_have_seven_billion_parameters():
    from engine.sizing.shape import shape_of
    from tests.gpu.models import SHAPES

    assert shape_of(json.loads(json.dumps(SHAPES))).parameters == 7_615_616_512
