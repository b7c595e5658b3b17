"""`solon constitution test`: planted judges, right, wrong, biased and silent."""

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
  - id: kind
    statement: The assistant is kind.
    tests:
      - {prompt: "Hello?", compliant: GOOD one., violating: BAD one.}
      - {prompt: "Hello again?", compliant: GOOD two., violating: BAD two.}
  - id: untested
    statement: The assistant is brief.
"""
YES, NO = [0.9, 0.1], [0.1, 0.9]
VERDICTS = [
    {"match": r"(?s)<reply>\s*BAD.*true of this reply", "reply": "Yes", "probabilities": YES},
    {"match": r"(?s)<reply>\s*GOOD.*true of this reply", "reply": "No", "probabilities": NO},
]
PREFERS = [
    {"match": r"(?s)GOOD.*BAD", "reply": "A", "probabilities": YES},
    {"match": r"(?s)BAD.*GOOD", "reply": "B", "probabilities": NO},
]
FIRST = [{"match": r"(?s)GOOD.*BAD|BAD.*GOOD", "reply": "A", "probabilities": YES}]


@pytest.fixture
def put(tmp_path):
    """Put the tests of RULES to a scripted judge: exit code, output, errors."""
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def put(rules, *options):
        script = tmp_path / "judge.yaml"
        script.write_text(json.dumps({"rules": rules}), encoding="utf-8")
        command = ["test", tmp_path / "rules.yaml", "--judge", f"scripted:{script}", *options]
        return subprocess.run(
            [sys.executable, "-m", "scripts.solon", "constitution", *map(str, command)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return put


def test_a_judge_that_is_right_passes(put):
    result = put(VERDICTS + PREFERS)
    assert result.returncode == 0, result.stdout
    assert "2 of 2 tests passed" in result.stdout
    assert "100%" in result.stdout and "no tests" in result.stdout


def test_a_judge_that_prefers_a_place_fails_and_its_bias_is_told(put):
    result = put(VERDICTS + FIRST)
    assert result.returncode == 1
    assert "+0.80" in result.stdout
    assert "kind, test 1: asked which is better, the judge prefers the place shown first" in (
        " ".join(result.stdout.split())
    )


def test_a_judge_that_calls_everything_a_violation_has_half_precision(put):
    always = [{"match": "true of this reply", "reply": "Yes", "probabilities": YES}]
    result = put(always + PREFERS)
    assert result.returncode == 1
    assert "50%" in result.stdout and "100%" in result.stdout
    assert "the compliant answer is called broken (0.90)" in " ".join(result.stdout.split())


def test_a_judge_that_says_nothing_is_an_error_and_no_score(put, tmp_path):
    silent = [{"match": "(?s).*", "reply": "Hm", "probabilities": YES, "mass": 0.0}]
    junit = tmp_path / "results.xml"
    result = put(silent, "--junit", junit)
    assert result.returncode == 1
    assert "0 of 2 tests passed" in result.stdout and "error" in result.stdout
    assert "0%" not in result.stdout
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "2")


def test_junit_has_a_case_for_each_test(put, tmp_path):
    junit = tmp_path / "results.xml"
    result = put(VERDICTS + FIRST, "--junit", junit, "--annotations")
    suite = ElementTree.parse(junit).getroot()
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["3", "2", "0", "1"]
    *cases, untested = suite
    assert [case.get("classname") for case in cases] == ["desk.kind", "desk.kind"]
    assert all("which is better" in case[0].get("message", "") for case in cases)
    assert (untested.get("classname"), untested[0].tag) == ("desk.untested", "skipped")
    told = [line for line in result.stdout.splitlines() if line.startswith("::")]
    assert [line.split()[0] for line in told] == ["::error", "::error", "::notice"]
    assert all(f"file={tmp_path / 'rules.yaml'}" in line for line in told)


def test_a_place_for_junit_is_looked_at_before_the_judge_is_asked(put, tmp_path):
    result = put(VERDICTS, "--junit", tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"{tmp_path}: is a folder; name a file\n"
    junit = tmp_path / "new" / "results.xml"
    put(VERDICTS, "--junit", junit)
    assert junit.is_file()


def test_a_principle_or_tests_that_are_not_there_are_named(put):
    assert "did you mean" in put(VERDICTS, "--principle", "knd").stderr
    assert "has no tests" in put(VERDICTS, "--principle", "untested").stderr
