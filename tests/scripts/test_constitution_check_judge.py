"""`solon constitution check --judge`: what it adds to a check, and when it asks nothing."""

import json

import pytest

from constitution import InputError
from engine.generators.scripted import ScriptedGenerator
from engine.judging import principle_conflicts
from scripts.commands.constitution import app

RULES = """\
name: desk
description: For tests.
principles:
  - id: brief
    statement: The assistant keeps every reply under ten words.
  - id: kind
    statement: The assistant is kind to everyone it talks to.
  - id: thorough
    statement: The assistant explains every point at length.
"""
JUDGE = {
    "rules": [
        {"match": "(?s)ten words.*at length.*A: They pull", "probabilities": [0.9, 0.1]},
        {"match": "(?s)at length.*ten words.*A: They go", "probabilities": [0.2, 0.8]},
        {"match": "A: They pull", "probabilities": [0.1, 0.9]},
        {"match": "A: They go", "probabilities": [0.9, 0.1]},
    ]
}


@pytest.fixture
def check(tmp_path, monkeypatch, capfd):
    """Checks `rules.yaml`: the exit code, the findings, and what was said on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "judge.json").write_text(json.dumps(JUDGE), encoding="utf-8")

    def run(*options, files=("rules.yaml",)):
        code = app(["check", *files, "--format", "json", *options], standalone_mode=False)
        written = capfd.readouterr()
        return code or 0, json.loads(written.out), written.err

    return run


def conflicts(findings):
    return [finding for finding in findings if finding["code"] == "SC310"]


def test_a_planted_contradiction_is_told_at_its_principle(check):
    code, findings, told = check("--judge", "scripted:judge.json")
    (finding,) = conflicts(findings)
    assert (code, finding["line"], finding["level"]) == (0, 9, "advice")
    assert "thorough pulls against brief" in finding["why"] and "(0.85)" in finding["why"]
    assert "rules.yaml: pairs of principles judged: 3\n" in told
    assert check("--judge", "scripted:judge.json", "--strict")[0] == 1


def test_nothing_is_asked_unless_a_judge_is_named(check):
    assert conflicts(check()[1]) == []


def test_answers_are_remembered(check, monkeypatch):
    first = check("--judge", "scripted:judge.json")

    async def asked(*_, **__):
        raise AssertionError("asked again")

    monkeypatch.setattr(ScriptedGenerator, "choose", asked)
    assert check("--judge", "scripted:judge.json") == first


def test_a_conflict_that_is_meant_can_be_silenced(check, tmp_path):
    text = RULES.replace("  - id: thorough", "  # solon: ignore SC310\n  - id: thorough")
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    assert conflicts(check("--judge", "scripted:judge.json")[1]) == []


def test_pairs_of_parents_are_theirs_to_judge(check, tmp_path):
    (tmp_path / "base.yaml").write_text(RULES.replace("desk", "base"), encoding="utf-8")
    child = "name: desk\nextends: [./base.yaml]\nprinciples:\n- {id: own, statement: It is calm.}\n"
    (tmp_path / "rules.yaml").write_text(child, encoding="utf-8")
    _, findings, told = check("--judge", "scripted:judge.json")
    assert conflicts(findings) == []
    assert "rules.yaml: pairs of principles judged: 3" in told


def test_a_judge_that_gives_no_answer_is_counted(check, tmp_path):
    silent = {"rules": [{"probabilities": [1, 0], "mass": 0.0}]}
    (tmp_path / "silent.json").write_text(json.dumps(silent), encoding="utf-8")
    _, findings, told = check("--judge", "scripted:silent.json")
    assert conflicts(findings) == []
    assert "judged: 3, 3 without an answer" in told


def test_of_many_pairs_those_left_out_are_counted(check, monkeypatch):
    monkeypatch.setattr(principle_conflicts, "_MOST", 1)
    told = check("--judge", "scripted:judge.json")[2]
    assert "2 of 3 pairs are left out" in told and "judged: 1\n" in told


def test_files_that_are_wrong_are_told_and_the_others_judged(check, tmp_path, capfd):
    (tmp_path / "wrong.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(InputError, match=r"wrong\.yaml"):
        check("--judge", "scripted:judge.json", files=("wrong.yaml", "rules.yaml"))
    assert "judged: 3" in capfd.readouterr().err


@pytest.mark.parametrize("spec", ["", "scripted:gone.json", "nonsense:x"])
def test_a_judge_that_is_none_is_wrong_input(check, spec):
    with pytest.raises(InputError):
        check("--judge", spec)
