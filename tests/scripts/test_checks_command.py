"""Checks on the command line: no judge where none is needed, and no code that was not allowed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RULES = """\
name: house
principles:
  - id: brief
    statement: The assistant answers in at most three words.
    check: {max_words: 3}
    tests:
      - prompt: Hello?
        compliant: [Hello., "Good day to you."]
        violating: Good day to you and to yours.
"""
CODE = """\
def polite(reply):
    return None if "please" in reply else "It does not say please."
"""
PYTHON = RULES.replace("{max_words: 3}", "{python: 'house_manners:polite'}")


@pytest.fixture
def solon(tmp_path):
    """Run a command about `house.yaml` in the folder where it stands."""
    (tmp_path / "house_manners.py").write_text(CODE, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "SOLON_ALLOWED": "",
    }

    def solon(rules, command, *options):
        (tmp_path / "house.yaml").write_text(rules, encoding="utf-8")
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "scripts.solon",
                "constitution",
                command,
                "house.yaml",
                *options,
            ],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return solon


def test_no_judge_is_needed_where_checks_decide_all(solon):
    ended = solon(RULES, "test", "--judge", "vllm:/no/such/model")
    assert ended.returncode == 1, ended.stderr
    assert "checks alone" in ended.stdout
    assert "compliant answer 2 is called broken (1.00)" in ended.stdout
    right = RULES.replace("Good day to you.", "Good day.")
    ended = solon(right, "test", "--judge", "vllm:/no/such/model")
    assert (ended.returncode, "1 of 1 tests passed" in ended.stdout) == (0, True)


def test_a_test_that_the_check_contradicts_is_an_error_of_the_file(solon):
    ended = solon(RULES, "check")
    assert ended.returncode == 1
    assert re.search(r"house\.yaml:8:\d+: SC204 .*at most 3 are allowed", ended.stdout)


def test_python_runs_only_where_it_is_allowed(solon):
    assert solon(PYTHON, "check").returncode == 0
    refused = solon(PYTHON, "test")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "--allow-python-checks" in line
    allowed = solon(PYTHON, "test", "--allow-python-checks")
    assert "compliant answer 1 is called broken" in allowed.stdout


def test_python_that_cannot_be_imported_is_one_line(solon):
    rules = PYTHON.replace("house_manners", "no_manners")
    refused = solon(rules, "test", "--allow-python-checks")
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "No module named 'no_manners'" in line
