"""A whole recipe with a tiny model, in the processes it really runs in, and then again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonlines
import pytest

from tests.training.talkative_model import build_talkative_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
RECIPE = """
name: tiny
constitution: rules.yaml
prompts: prompts.jsonl
held_out: 0.3
helpful: {file: helpful.jsonl, ratio: 0.3}
model: model
judge: scripted
engine: transformers
sampling: {max_tokens: 80, temperature: 1.0}
revise: {rounds: 1, select: random, accept: always}
sft: {epochs: 1, batch_size: 8, max_length: 2048, learning_rate: 1.0e-6}
label: {samples: 2}
dpo: {epochs: 1, batch_size: 8, max_length: 2048}
evaluate: {principles: 1, per_set: 2}
"""
RULES = """
name: rules
principles:
  - {id: kind, statement: The assistant is kind.}
  - {id: honest, statement: The assistant is honest.}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    build_talkative_model(folder / "model")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "rules.yaml").write_text(RULES, encoding="utf-8")
    with jsonlines.open(folder / "prompts.jsonl", "w") as rows:
        rows.write_all({"prompt": f"Question {n}?"} for n in range(24))
    with jsonlines.open(folder / "helpful.jsonl", "w") as rows:
        rows.write_all({"prompt": f"{n}+1?", "completion": f"{n + 1}"} for n in range(9))
    return folder


def solon_run(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "scripts.solon", "run", "recipe.yaml", "--out", "out"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_recipe_runs_to_its_table_and_then_only_what_is_missing(folder):
    first = solon_run(folder)
    assert first.returncode == 0, first.stderr[-3000:]
    out = folder / "out"
    for trained in ("sft", "dpo"):
        assert json.loads((out / trained / "manifest.json").read_bytes())["complete"]
        assert (out / trained / "model" / "config.json").is_file()
    table = json.loads((out / "evaluate" / "results.json").read_bytes())
    assert [row["name"] for row in table["models"]] == ["base", "sft", "dpo"]
    assert "Violations" in first.stdout

    second = solon_run(folder)
    assert second.returncode == 0
    assert "nothing to do: every stage is unchanged" in second.stderr

    (out / "revise" / "report.html").unlink()
    third = solon_run(folder)
    assert third.returncode == 0, third.stderr[-3000:]
    ran = [line.split(":")[0] for line in third.stderr.splitlines() if ": done in " in line]
    assert ran == ["report"]
