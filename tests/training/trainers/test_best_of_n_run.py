"""`solon best-of-n` on a planted reward that loves length: seen, and kept down by an ensemble or a veto."""

import json

import pytest
from pydantic import ValidationError

from constitution.permissions import PYTHON_CHECKS, allow
from constitution.problems import InputError
from training.trainers.best_of_n import CURVE, BestOfNConfig, run

RULES = """
name: brief
principles:
  - {id: brief, statement: The reply is short., check: {max_words: 20}}
  - {id: asks, statement: The reply ends with a question., check: {ends_with_question: true}}
"""
REWARDS = """
def length(prompt, answer):
    return min(1.0, len(answer.split()) / 60)

def another(prompt, answer):
    return 0.9 if answer.endswith("?") and len(answer.split()) < 20 else 0.05
"""
SHORT, LONG = "one two three four five", " ".join(["word"] * 40)
REPLIES = [SHORT + ".", SHORT + " six?", SHORT + " six seven?", LONG + ".", LONG + " more."]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("SOLON_ALLOWED", raising=False)
    allow(PYTHON_CHECKS)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "rewards.py").write_text(REWARDS, encoding="utf-8")
    script = json.dumps({"rules": [{"reply": REPLIES}]})
    (tmp_path / "policy.yaml").write_text(script, encoding="utf-8")
    prompts = "".join(json.dumps({"prompt": f"Question {n}?"}) + "\n" for n in range(12))
    (tmp_path / "prompts.jsonl").write_text(prompts, encoding="utf-8")
    return tmp_path


def curve_of(folder, *rewards, **changes):
    config = BestOfNConfig.model_validate({
        "constitution": str(folder / "rules.yaml"),
        "prompts": {"file": str(folder / "prompts.jsonl")},
        "policy": f"scripted:{folder / 'policy.yaml'}",
        "judge": "scripted",
        "rewards": [
            {**r, "python": f"{folder / 'rewards.py'}:{r['python']}"} if "python" in r else r
            for r in rewards
        ],
        "out": str(folder / "out"),
        "samples": 16,
        **changes,
    })
    return run(config, lambda line: None)


def test_a_reward_that_loves_length_is_flagged_and_the_curve_is_kept(folder):
    curve = curve_of(folder, {"python": "length"})
    assert [point.n for point in curve.points] == [1, 2, 4, 8, 16]
    assert curve.flagged
    first, last = curve.points[0], curve.points[-1]
    assert last.proxy.value > first.proxy.value and last.gold.value < first.gold.value - 0.2
    assert last.tokens.value > first.tokens.value
    written = json.loads((folder / "out" / CURVE).read_bytes())
    assert written["flagged"] and written["reward"] == "python"
    assert len(written["points"]) == 5


@pytest.mark.parametrize(
    "rewards",
    [
        pytest.param([{"python": "length"}, {"check": ["brief"], "below": 1.0}], id="veto"),
        pytest.param([{"python": "length"}, {"python": "another", "weight": 2.0}], id="another"),
    ],
)
def test_a_veto_or_another_reward_keeps_it_down(folder, rewards):
    curve = curve_of(folder, *rewards)
    assert not curve.flagged
    assert curve.points[-1].gold.value > curve.points[0].gold.value + 0.2


def test_what_was_sampled_is_not_sampled_again(folder):
    first = curve_of(folder, {"check": "all"})
    (folder / "policy.yaml").write_text("rules: [{fail: server_error}]", encoding="utf-8")
    with pytest.raises(InputError):  # another policy
        curve_of(folder, {"check": "all"}, policy="scripted")
    assert first.points[-1].gold.value == 1.0


def test_a_reward_that_fails_everywhere_makes_no_curve(folder):
    (folder / "rewards.py").write_text("def nothing(prompt, answer): return None\n", "utf-8")
    with pytest.raises(InputError, match="no answer could be scored"):
        curve_of(folder, {"python": "nothing"})


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_is_bounded(seed):
    given = {"constitution": "c", "prompts": {"prompts": "p"}, "policy": "scripted", "out": "o"}
    with pytest.raises(ValidationError) as refused:
        BestOfNConfig.model_validate({**given, "judge": "scripted", "rewards": [], "seed": seed})
    assert ("seed",) in [error["loc"] for error in refused.value.errors()]
