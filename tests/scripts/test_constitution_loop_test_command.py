"""`solon constitution test --loop`: figures, records, limits and what is refused, with scripted models."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RULES = """\
name: desk
description: For tests.
principles:
  - id: brief
    statement: The assistant answers in at most five words.
    check: {max_words: 5}
    tests:
      - {prompt: "Hello?", compliant: Hello., violating: Hello and welcome to this lovely place.}
"""
JUDGED = """\
  - id: kind
    statement: The assistant is kind.
    tests:
      - {prompt: "Hello?", compliant: GOOD one., violating: BAD one.}
      - {prompt: "Hello again?", compliant: [GOOD two., GOOD three.], violating: BAD two.}
"""
SCRIPT = [
    {"match": r"(?s)<reply>\s*BAD.*true of this reply", "probabilities": [0.9, 0.1]},
    {"match": "true of this reply", "probabilities": [0.1, 0.9]},
    {"match": "a fitting reply", "probabilities": [0.9, 0.1]},
    {"match": r"(?s)<reply>\s*(BAD t|GOOD three).*Rewrite", "reply": "BAD turn."},
    {"match": "Rewrite", "reply": "Dear friend."},
    {"match": "", "reply": "It is rude to whoever asked."},
]
ALWAYS = ("--select", "every", "--accept", "always")


@pytest.fixture
def put(tmp_path):
    """Run the command on RULES with a script in every role: exit code, output, errors."""
    (tmp_path / "rules.yaml").write_text(RULES + JUDGED, encoding="utf-8")
    (tmp_path / "model.yaml").write_text(json.dumps({"rules": SCRIPT}), encoding="utf-8")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "COLUMNS": "100"}

    def put(*options, model=f"scripted:{tmp_path / 'model.yaml'}"):
        command = ["test", tmp_path / "rules.yaml", "--model", model, *options]
        return subprocess.run(
            [sys.executable, "-m", "scripts.solon", "constitution", *map(str, command)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return put


def lines(result):
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_figures_by_principle_and_in_total(put):
    result = put("--loop")
    assert result.returncode == 0, result.stderr
    said = lines(result)
    assert "brief check 1/1 [21%, 100%] 0/1 [0%, 79%] 0/1 [0%, 79%]" in said
    assert "kind judge 1/2 [9%, 91%] 0/3 [0%, 66%] 0/3 [0%, 66%]" in said
    assert "repaired 67% [21%, 94%], 2 of 3 violating answers" in said
    assert "damaged 0% [0%, 56%], 0 of 4 compliant answers" in said
    assert "changed 0% [0%, 56%], 0 of 4 compliant answers (damage is at most this)" in said
    assert "refused not better 1" in said
    assert "which is not proof: read the records" in " ".join(said)
    told = "kind, test 2, violating answer 1: unrepaired: it stands as it was (not better)"
    assert told in said
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_without_acceptance_good_answers_are_damaged(put):
    said = lines(put("--loop", *ALWAYS, "--principle", "kind"))
    assert "damaged 33% [6%, 79%], 1 of 3 compliant answers" in " ".join(said)
    assert "changed 100%" in " ".join(said)
    told = "kind, test 2, compliant answer 2: damaged: rewritten, it breaks the principle"
    assert told in " ".join(said)


def test_every_record_is_written_with_its_test(put, tmp_path):
    out = tmp_path / "new" / "records.jsonl"
    put("--loop", "--out", out)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(r["principle"], r["test"], r["start"], r["number"], r["ended_as"]) for r in rows] == [
        ("brief", 1, "violating", 1, "repaired"),
        ("brief", 1, "compliant", 1, "unchanged"),
        ("kind", 1, "violating", 1, "repaired"),
        ("kind", 1, "compliant", 1, "unchanged"),
        ("kind", 2, "violating", 1, "unrepaired"),
        ("kind", 2, "compliant", 1, "unchanged"),
        ("kind", 2, "compliant", 2, "unchanged"),
    ]
    assert [r["by"] for r in rows if r["ended_as"] == "repaired"] == ["check", "judge"]
    assert rows[2]["record"]["answer"] == "BAD one."
    assert rows[2]["record"]["final"] == "Dear friend."


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--max-damage", "0", "--min-repair", "0.6"), 0),
        (("--min-repair", "0.7"), 1),
        ((*ALWAYS, "--max-damage", "0.5"), 0),
        ((*ALWAYS, "--max-damage", "0.2"), 1),
    ],
)
def test_limits_decide_the_exit_code(put, options, code):
    assert put("--loop", *options).returncode == code


def test_a_failure_is_counted_and_no_limit_holds_then(put, tmp_path):
    broken = [{"match": "Rewrite", "fail": "server_error"}, *SCRIPT]
    (tmp_path / "model.yaml").write_text(json.dumps({"rules": broken}), encoding="utf-8")
    result = put("--loop", "--principle", "brief")
    assert (result.returncode, "failed 1 answer" in lines(result)) == (0, True)
    assert put("--loop", "--principle", "brief", "--max-damage", "1").returncode == 1


def test_checks_alone_need_no_judge(put, tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    result = put("--loop")
    assert "Checks alone decide what is repaired and what is damaged, exactly." in lines(result)
    assert "calibrated" not in result.stdout


def test_junit_has_a_case_for_each_answer(put, tmp_path):
    junit = tmp_path / "results.xml"
    put("--loop", "--junit", junit)
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("7", "1", "0")
    assert suite[4].get("name") == "test 2, violating answer 1"
    assert suite[4][0].get("message", "").startswith("unrepaired")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            ("--rounds", "3", "--max-damage", "0.1"),
            "--loop: is not given, but max_damage, rounds of the loop; add --loop, or leave them out",
        ),
        (
            ("--loop", "--stakeholder", "nobody"),
            "stakeholder: desk has no stakeholder `nobody`; it has: none",
        ),
        (("--loop", "--max-damage", "2"), None),
    ],
)
def test_what_is_wrong_is_told_in_a_line(put, options, error):
    result = put(*options)
    assert (result.returncode, result.stdout) == (2, "")
    if error:
        assert result.stderr == error + "\n"


def test_the_constitution_is_not_written_over(put, tmp_path):
    result = put("--loop", "--out", tmp_path / "rules.yaml")
    assert result.stderr == (
        f"{tmp_path / 'rules.yaml'}: is what is read; name another file to write\n"
    )
    assert (tmp_path / "rules.yaml").read_text(encoding="utf-8") == RULES + JUDGED
