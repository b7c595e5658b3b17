"""`solon constitution`: what the author of a constitution sees, and how soon."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from constitution import InputError, load_constitution, shipped_constitutions
from constitution.selection import applicable
from constitution.yaml_writer import SCHEMA_FILE
from engine.loop.rendering import (
    preference_messages,
    review_messages,
    rewrite_messages,
    verdict_messages,
)
from engine.messages import Message
from scripts.commands.constitution import app

ROOT = Path(__file__).parents[2]
GOOD = """\
name: house-rules
version: "2.1.0"
preamble: This is a [bold]library[/bold].
principles:
  - id: kind
    statement: Be kind.
    severity: critical
    tests: [{prompt: "Hello?", compliant: Hello!, violating: "Go away [/]."}]
  - id: quiet
    statement: Be quiet.
    weight: 2
  - id: for-staff
    statement: Know the shelves.
    applies_to: {stakeholders: [staff]}
stakeholders:
  staff: {weights: {quiet: 0, kind: 3}}
  guests: {description: Whoever comes in.}
"""


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output(*arguments) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.exception
    return result.output


def told(*arguments) -> list[str]:
    error = invoke(*arguments).exception
    assert isinstance(error, InputError)
    return str(error).splitlines()


def solon(*arguments) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.solon", "constitution", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_check_says_in_one_line_that_a_file_is_valid_then_gives_advice(rules):
    first, *advice = output("check", rules).splitlines()
    hash = load_constitution(rules).content_hash
    found = f"{len(advice)} findings"
    assert first == f"{rules}: ok: house-rules 2.1.0, 3 principles, 1 test, {hash}, {found}"
    assert all(re.match(rf"{re.escape(str(rules))}:\d+:\d+: SC\d+ ", line) for line in advice)
    assert invoke("check", rules, "--strict").exit_code == 1
    assert invoke("check", *shipped_constitutions(), "--strict").exit_code == 0


def test_check_writes_what_machines_read_and_nothing_else(rules):
    findings = json.loads(output("check", rules, "--format", "json"))
    assert {"code", "line", "why", "remedy"} < findings[0].keys()
    log = json.loads(output("check", rules, "--format", "sarif"))
    assert len(log["runs"][0]["results"]) == len(findings)
    assert output("check", rules, "--format", "github").count("::") == 2 * len(findings)


@pytest.mark.parametrize(
    ("text", "line"),
    [("name: x\nprinciples:\n  - id: a\n    statment: b\n", 4), ("name: [\n", 2), (None, 1)],
)
def test_machines_read_what_is_wrong_with_a_broken_file(tmp_path, text, line):
    path = tmp_path / "my rules: new.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")

    def found(format):
        result = invoke("check", path, "--format", format)
        assert isinstance(result.exception, InputError)
        return result.stdout

    (first, *_) = json.loads(found("json"))
    assert (first["code"], first["level"], first["file"]) == ("SC001", "error", str(path))
    assert first["line"] == line and first["why"]
    (run,) = json.loads(found("sarif"))["runs"]
    result = run["results"][0]
    assert result["level"] == "error" and result["message"]["text"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "SC001"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == path.as_uri()
    assert place["region"]["startLine"] == line
    assert found("github").startswith(f"::error file={str(path).replace(':', '%3A')},line={line},")


def test_a_sarif_uri_is_a_reference_from_where_the_command_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my rules.yaml").write_text(GOOD, encoding="utf-8")
    for name in ("my rules.yaml", tmp_path / "my rules.yaml"):
        log = json.loads(invoke("check", name, "--format", "sarif").stdout)
        places = [one["locations"][0]["physicalLocation"] for one in log["runs"][0]["results"]]
        assert {place["artifactLocation"]["uri"] for place in places} == {"my%20rules.yaml"}


def test_check_knows_the_tags_that_prompts_carry(rules, tmp_path):
    text = GOOD.replace("{stakeholders: [staff]}", "{tags: [shelfs]}")
    rules.write_text(text, encoding="utf-8")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Where?", "tags": ["shelves"]}\n', encoding="utf-8")
    assert "did you mean shelves?" in output("check", rules, "--prompts", prompts)


def test_check_mends_in_place_what_changes_nothing(rules):
    rules.write_text(GOOD.replace("quiet.", "quiet.  "), encoding="utf-8")
    assert f"{rules}: fixed" in output("check", rules, "--fix")
    text = rules.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=") and "quiet.  " not in text
    assert "fixed" not in output("check", rules, "--fix")
    rules.write_text("name: [", encoding="utf-8")
    assert told("check", rules, "--fix")
    assert rules.read_text(encoding="utf-8") == "name: ["


def test_check_mends_what_a_link_names_and_keeps_its_mode(rules, tmp_path):
    link = tmp_path / "link.yaml"
    link.symlink_to(rules.name)
    rules.chmod(0o640)
    assert f"{link}: fixed" in output("check", link, "--fix")
    assert link.is_symlink() and rules.stat().st_mode & 0o777 == 0o640
    assert rules.read_text(encoding="utf-8").startswith("# yaml-language-server")


def test_check_leaves_a_read_only_file_alone(rules):
    rules.chmod(0o444)
    assert told("check", rules, "--fix") == [
        f"{rules}: is read-only and has fixes to apply; make it writable, or leave out --fix"
    ]
    assert rules.read_text(encoding="utf-8") == GOOD


def test_check_accepts_every_shipped_constitution():
    lines = output("check", *shipped_constitutions()).splitlines()
    assert [line.split(":")[0] for line in lines] == list(shipped_constitutions())


def test_check_tells_the_errors_of_all_files_and_which_are_fine(rules, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\nprinciples:\n- id: a\n  wieght: 1\n", encoding="utf-8")
    result = solon("check", wrong, rules, tmp_path / "ruls.yaml")
    assert result.returncode == 2
    assert result.stdout.startswith(f"{rules}: ok: ")
    assert result.stderr.splitlines() == [
        f"{wrong}:3:3: principles[0] has no 'statement'; add it",
        f"{wrong}:4:3: unknown key 'wieght'; did you mean 'weight'?",
        f"{tmp_path / 'ruls.yaml'}: no such file; did you mean 'rules.yaml'?",
    ]


def test_show_prints_everything_the_file_says_as_it_is_written(rules):
    shown = output("show", rules)
    for text in ("This is a [bold]library[/bold].", "Go away [/].", "critical", "guests", "staff"):
        assert text in shown


def test_show_for_one_stakeholder_leaves_out_what_is_never_drawn(rules):
    shown = output("show", rules, "--stakeholder", "staff")
    constitution = load_constitution(rules)
    apply = [principle.id for principle, _ in applicable(constitution, None, "staff")]
    titles = [line for line in shown.splitlines() if "  weight " in line and "──" in line]
    assert [title.split()[0] for title in titles] == apply
    assert "weight 3" in titles[0]
    assert "Know the shelves." not in output("show", rules, "--stakeholder", "guests")


def test_show_rendered_is_word_for_word_what_the_engine_asks(rules):
    constitution = load_constitution(rules)
    kind = constitution.principle("kind")
    shown = output("show", rules, "--rendered", "--principle", "kind")
    conversation = (Message("user", "Hello?"), Message("assistant", "Go away [/]."))
    (verdict,) = verdict_messages(constitution, kind, conversation)
    assert review_messages(constitution, kind, conversation)[0].content in shown
    rewrite = rewrite_messages(constitution, kind, conversation, "(the critique)")
    assert rewrite[0].content in shown
    assert verdict.content in shown
    replies = (conversation[-1].content, kind.tests[0].compliant[0])
    (compared,) = preference_messages(constitution, kind, conversation[:-1], replies)
    assert compared.content in shown
    assert "Be quiet." not in shown


@pytest.mark.parametrize(
    ("option", "name", "problem"),
    [
        ("--principle", "knd", "--principle: no 'knd' to show; did you mean 'kind'?"),
        ("--principle", "x", "--principle: no 'x' to show; there is kind, quiet, for-staff"),
        ("--stakeholder", "stuff", "--stakeholder: no 'stuff' to show; did you mean 'staff'?"),
    ],
)
def test_show_names_what_there_is_instead(rules, option, name, problem):
    assert told("show", rules, option, name) == [problem]


def test_schema_prints_the_committed_schema():
    assert output("schema") == SCHEMA_FILE.read_text(encoding="utf-8")


def test_list_names_every_shipped_constitution():
    shown = output("list")
    assert all(name in shown for name in shipped_constitutions())
