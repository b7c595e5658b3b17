"""The three stages of RLHF, from people's preferences alone, in the processes they really run in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.engine.tiny_model import build_tiny_model
from training.recipe.schema import load_recipe

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ROWS = ROOT / "scripts" / "data" / "human_preferences.jsonl"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The shipped recipe with a tiny model that has the words of its rows, and settings that teach it."""
    folder = tmp_path_factory.mktemp("rlhf")
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    said = [row["chosen"].replace("Human:", "").replace("Assistant:", "") for row in rows]
    build_tiny_model(folder / "model", lines=said, vocabulary=800, hidden_size=64)
    recipe, file = load_recipe("rlhf-cpu")
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    written |= {
        "constitution": str(file.parent / recipe.constitution),
        "preferences": str(ROWS),
        "demonstrations": str(ROWS),
        "model": "model",
        "held_out": 0.25,
        "budget": {"tokens": 130_000},
        "sft": {"epochs": 9, "batch_size": 64, "max_length": 128, "learning_rate": 1e-2},
        "reward_model": {"epochs": 4, "batch_size": 32, "max_length": 128, "learning_rate": 3e-3},
    }
    written["rloo"] |= {
        "batch_size": 64,
        "learning_rate": 2e-3,
        "schedule": "constant",
        "warmup": 0.0,
    }
    for name in ("max_steps", "eval_share"):
        del written["rloo"][name]
    written["rloo"]["epochs"] = 40
    text = yaml.safe_dump(written, sort_keys=False)
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
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


def test_three_stages_raise_what_people_prefer(folder):
    first = solon_run(folder)
    assert first.returncode == 0, first.stderr[-3000:]
    out = folder / "out"
    reward_model = json.loads((out / "reward-model" / "manifest.json").read_bytes())
    assert reward_model["metrics"]["held_out_pairs"]["pairs"] > 10
    trained = json.loads((out / "rloo" / "manifest.json").read_bytes())
    cost = trained["metrics"]["cost"]
    assert cost["before"]["steps"] == reward_model["steps"]
    assert cost["stopped_by"] == "tokens"
    assert 120_000 < cost["tokens"] + cost["before"]["tokens"] <= 130_000
    assert {"start", "end", "vetoed"} <= trained["metrics"].keys()

    results = json.loads((out / "evaluate" / "results.json").read_bytes())
    models = {model["name"]: model for model in results["models"]}
    assert list(models) == ["base", "sft", "rloo"] and results["against"] == "sft"
    change = models["rloo"]["change_against"]
    assert change["value"] < 0 and change["high"] < 0
    assert models["rloo"]["cost"]["tokens"] == cost["tokens"] + cost["before"]["tokens"]

    second = solon_run(folder)
    assert second.returncode == 0
    assert "nothing to do: every stage is unchanged" in second.stderr
