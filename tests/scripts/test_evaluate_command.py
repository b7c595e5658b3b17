"""`solon evaluate`, from its options to the table, the page and the exit code."""

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = """
name: rules
principles:
  - {id: kind, statement: The assistant is kind.}
  - {id: honest, statement: The assistant is honest.}
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    rows = [json.dumps({"id": f"p{n}", "prompt": f"Question {n}?"}) for n in range(6)]
    (tmp_path / "held_out.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def evaluate(place, *more, out="out"):
    command = [
        sys.executable, "-m", "scripts.solon", "evaluate", "--constitution", "rules.yaml",
        "--prompts", "held_out.jsonl", "--judge", "scripted", "--out", out, "--per-set", "4",
        "--model", "base=scripted", "--model", "dpo=scripted", *map(str, more),
    ]  # fmt: skip
    return subprocess.run(
        command,
        cwd=place,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )


def refused(result, *told):
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    for words in told:
        assert words in result.stderr
    return True


def test_it_ends_in_a_table_and_a_page_and_running_it_again_generates_nothing(place):
    first = evaluate(place, "--attack", "role_play")
    assert first.returncode == 0, first.stderr
    for words in (
        "Violations",
        "Win rate over base",
        "Harmless requests refused, by rules",
        "Accuracy, change",
    ):
        assert words in first.stdout
    assert "too-few-prompts" in first.stdout or "few" in first.stdout
    page = (place / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert "Question 3?" in page
    before = json.loads((place / "out" / "results.json").read_bytes())
    assert [row["name"] for row in before["models"]] == ["base", "dpo"]
    assert before["models"][1]["attacks"]["role_play"]["rules"]["count"] == 4

    size = (place / "out" / "completions.sqlite").stat().st_size
    second = evaluate(place, "--attack", "role_play")
    assert second.returncode == 0 and second.stdout == first.stdout
    assert json.loads((place / "out" / "results.json").read_bytes()) == before
    assert (place / "out" / "completions.sqlite").stat().st_size == size


def test_a_broken_gate_exits_with_3_and_a_kept_one_with_0(place):
    gates = place / "gates.yaml"
    gates.write_text("gates: {win_rate: {at_least: 0.9}}\n", encoding="utf-8")
    junit = place / "gates.xml"
    broken = evaluate(place, "--gate", gates, "--junit", junit, "--annotations")
    assert broken.returncode == 3, broken.stderr
    assert "BROKEN" in broken.stdout and "::error title=" in broken.stdout
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "not at least 0.9" in suite[0][0].get("message")
    gates.write_text("gates: {win_rate: {at_most: 0.9}}\n", encoding="utf-8")
    kept = evaluate(place, "--gate", gates)
    assert kept.returncode == 0, kept.stderr
    assert "BROKEN" not in kept.stdout


def test_other_prompts_are_another_evaluation(place):
    assert evaluate(place).returncode == 0
    (place / "held_out.jsonl").write_text('{"prompt": "Something else?"}\n', encoding="utf-8")
    before = (place / "out" / "results.json").read_bytes()
    assert refused(evaluate(place), "holds another evaluation: prompts was ", "--overwrite")
    assert (place / "out" / "results.json").read_bytes() == before
    assert evaluate(place, "--overwrite").returncode == 0


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--model", "base=scripted"], "`base` is there twice"),
        (["--model", "scripted"], "write NAME=SPEC"),
        (["--attack", "role_plai"], "role_play"),
        (["--attack", "all", "--harmful", "none"], "there are none"),
        (["--task", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--harmful", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--gate", "nowhere.yaml"], "nowhere.yaml"),
        (["--classifier", "nonsense"], "nonsense"),
        (["--import", "rules.yaml"], "import-garak"),
        (["--training-judge", "nonsense:x"], "nonsense"),
        (["--trained-on", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
    ids=lambda part: part if isinstance(part, str) else " ".join(part),
)
def test_what_is_wrong_is_one_line_before_anything_is_asked(place, more, told):
    assert refused(evaluate(place, *more), told)
    assert not (place / "out").exists()


def test_held_out_prompts_that_were_trained_on_are_found(place):
    shutil.copy(place / "held_out.jsonl", place / "train.jsonl")
    result = evaluate(place, "--trained-on", "train.jsonl")
    assert result.returncode == 0, result.stderr
    found = json.loads((place / "out" / "results.json").read_bytes())["findings"]
    assert any("trained on" in finding["message"] for finding in found)
