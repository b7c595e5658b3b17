"""`solon constitution diff` as people, programs and git call it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from constitution import InputError
from constitution.git_revision import load_revision
from scripts.commands.constitution import app

ROOT = Path(__file__).parents[2]
OLD = """\
name: house-rules
principles:
  - id: kind
    statement: The assistant is kind and calm.
  - id: quiet
    statement: The assistant is quiet.
"""
NEW = OLD.replace("kind and calm", "kind and warm").replace("is quiet.", "is quiet.\n    weight: 2")
CHILD = "name: child\nextends: [rules.yaml]\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(OLD, encoding="utf-8")
    Path("new.yaml").write_text(NEW, encoding="utf-8")
    return tmp_path


@pytest.fixture
def repository(folder):
    """Two commits of rules/rules.yaml, and of a file that extends it."""
    Path("rules").mkdir()
    git("init", "-q", "-b", "main")
    for text in (OLD, NEW):
        Path("rules/rules.yaml").write_text(text, encoding="utf-8")
        Path("rules/child.yaml").write_text(CHILD, encoding="utf-8")
        git("add", "rules")
        git("commit", "-q", "-m", "edit", "--allow-empty")
    return folder


def git(*arguments):
    settings = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    finished = subprocess.run(["git", *settings, *arguments], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def diff(*arguments):
    return CliRunner().invoke(app, ["diff", *map(str, arguments)])


def told(*arguments):
    error = diff(*arguments).exception
    assert isinstance(error, InputError)
    return str(error)


def test_changed_words_are_marked_and_the_exit_code_is_that_of_diff(folder):
    result = diff("old.yaml", "new.yaml")
    assert result.exit_code == 1
    assert "reworded statement: The assistant is kind and [-calm-]{+warm+}." in result.output
    assert "re-weighted: 1 -> 2" in result.output
    assert result.output.splitlines()[-1] == "principles: 1 reworded, 1 re-weighted"


def test_the_documentation_shows_what_is_really_printed(folder):
    page = (ROOT / "docs" / "constitution.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```\w*\n(--- house-rules.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert diff("old.yaml", "new.yaml").output == shown


def test_nothing_is_said_of_equal_files(folder):
    result = diff("old.yaml", "old.yaml")
    assert (result.exit_code, result.output) == (0, "")


def test_tests_leave_runs_as_they_are(folder):
    tests = "    tests: [{prompt: p, compliant: c, violating: v}]\n"
    Path("new.yaml").write_text(OLD + tests, encoding="utf-8")
    result = diff("old.yaml", "new.yaml")
    assert result.exit_code == 1
    assert "re-tested test: {+p+}" in result.output
    assert "runs made with the old one are still up to date" in result.output


def test_json_says_the_same(folder):
    document = json.loads(diff("old.yaml", "new.yaml", "--format", "json").output)
    assert not document["same"]
    assert [(c["kind"], c["name"], c["alters_runs"]) for c in document["changes"]] == [
        ("reworded", "kind", True),
        ("re-weighted", "quiet", True),
    ]
    assert json.loads(diff("old.yaml", "old.yaml", "--format", "json").output)["same"]


def test_problems_of_both_sides_are_told_at_once(folder):
    Path("wrong.yaml").write_text("name: x\nprinciples: 5\n", encoding="utf-8")
    said = told("wrong.yaml", "gone.yaml")
    assert "wrong.yaml:2:13: principles is '5', not a list" in said
    assert "gone.yaml: no such file" in said
    assert "was given 1" in told("old.yaml")


def test_the_cost_on_a_run(folder):
    rows = "".join(json.dumps({"prompt": f"Question {n}?"}) + "\n" for n in range(40))
    Path("p.jsonl").write_text(rows, encoding="utf-8")
    revise = ("revise", "-c", "old.yaml", "-p", "p.jsonl", "-m", "scripted", "-o", "run",
              "--select", "random", "--accept", "always", "--rounds", "1")  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "scripts.solon", *revise], check=True, env=environment)
    document = json.loads(diff("old.yaml", "new.yaml", "--run", "run", "--format=json").output)
    cost = document["cost"]
    assert cost["conversations"] == 40
    assert cost["old_is_the_runs"]
    assert cost["calls"]["critic"] == cost["calls"]["reviser"] == cost["conversations_to_generate"]
    shown = diff("old.yaml", "new.yaml", "--run", "run").output
    again = cost["conversations_to_generate"]
    assert f"run: {again} of 40 conversations are generated again" in shown
    assert "other words than OLD" in diff("new.yaml", "old.yaml", "--run", "run").output
    Path("p.jsonl").rename("q.jsonl")
    assert "--prompts" in told("old.yaml", "new.yaml", "--run", "run")
    assert diff("old.yaml", "new.yaml", "--run", "run", "-p", "q.jsonl").output == shown


def test_revisions_are_read_with_their_parents(repository):
    shown = diff("HEAD~1:rules/child.yaml", "HEAD:rules/child.yaml").output
    assert "kind and [-calm-]{+warm+}." in shown
    shown = diff("HEAD~1:rules/rules.yaml", "rules/rules.yaml").output
    assert "kind and [-calm-]{+warm+}." in shown
    os.chdir("rules")
    assert load_revision("HEAD:./child.yaml") == load_revision("child.yaml")


def test_a_file_whose_name_looks_like_a_revision_is_that_file(repository):
    Path("HEAD:x.yaml").write_text(OLD.replace("house-rules", "mine"), encoding="utf-8")
    assert load_revision("HEAD:x.yaml").name == "mine"


def test_what_git_does_not_have_is_one_line(repository):
    assert told("HEAD:nope.yaml", "old.yaml").startswith("HEAD:nope.yaml: git says: path")
    assert "git says: " in told("nope:rules/rules.yaml", "old.yaml")
    Path("rules/rules.yaml").write_text(OLD.replace("kind\n", "kind\n    x: 1\n"), "utf-8")
    git("commit", "-q", "-am", "wrong")
    assert told("HEAD:rules/child.yaml", "old.yaml").startswith(
        "HEAD:rules/rules.yaml:4:5: unknown key 'x'"
    )


def test_outside_a_repository_git_is_told_of(folder):
    assert "git says: not a git repository" in told("HEAD:x.yaml", "old.yaml")


def test_git_diff_shows_it(repository):
    Path("rules/rules.yaml").write_text(OLD, encoding="utf-8")
    Path("rules/new.yaml").write_text(OLD, encoding="utf-8")
    Path(".gitattributes").write_text("rules/*.yaml diff=constitution\n", encoding="utf-8")
    git("add", "-N", "rules/new.yaml")
    command = shlex.join([sys.executable, "-m", "scripts.solon", "constitution", "diff"])
    git("config", "diff.constitution.command", f"env PYTHONPATH={ROOT} {command}")
    shown = git("diff")
    assert "kind and [-warm-]{+calm+}." in shown
    assert "rules/new.yaml" in shown
    assert "added: {+The assistant is quiet.+}" in shown
    Path("rules/rules.yaml").write_text("name: 5\n", encoding="utf-8")
    assert "rules/rules.yaml:1:7: name: 5 is a number" in git("diff", "rules/rules.yaml")


def test_prompts_without_a_run_are_refused(folder):
    error = diff("old.yaml", "new.yaml", "--prompts", "p.jsonl").exception
    assert isinstance(error, InputError)
    assert "prompts are named, and no run; add --run" in str(error)
