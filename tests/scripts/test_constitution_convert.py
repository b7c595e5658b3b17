"""`solon constitution import`, `export` and `new`: files written whole, or not at all."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from constitution import InputError, load_constitution
from constitution.interchange import Format
from scripts.commands.constitution import app
from scripts.commands.constitution_convert import Foreign

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")
CHAIN = {"polite": {"name": "p", "critique_request": "Is it rude?", "revision_request": "Mend it."}}
TRAITS = [{"trait": "I am calm.", "questions": ["Calm down!"]}]
SOLON = [sys.executable, "-m", "scripts.solon"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("chain.json").write_text(json.dumps(CHAIN), encoding="utf-8")
    Path("traits.json").write_text(json.dumps(TRAITS), encoding="utf-8")
    return tmp_path


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert not isinstance(result.exception, InputError), result.exception
    assert result.exit_code == 0, result.output
    return result


def told(*arguments):
    error = CliRunner().invoke(app, [str(argument) for argument in arguments]).exception
    assert isinstance(error, InputError)
    return str(error)


def test_the_command_knows_the_formats_that_there_are():
    assert get_args(Foreign) == tuple(Format)


def test_import_writes_a_valid_file_and_says_what_it_did(folder):
    result = invoke("import", "chain.json", "--out", "sub/polite.yaml", "--name", "Be polite")
    assert result.stdout == "sub/polite.yaml: be-polite, 1 principles from langchain\n"
    assert "statements were derived" in result.stderr
    assert "left out: the name 'p'" in result.stderr
    text = Path("sub/polite.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=")
    assert (
        "sub/polite.yaml: ok: be-polite 1.0.0, 1 principle"
        in invoke("check", "sub/polite.yaml").stdout
    )
    assert sorted(path.name for path in Path("sub").iterdir()) == [
        "constitution.schema.json",
        "polite.yaml",
    ]


def test_questions_become_a_prompts_file(folder):
    invoke("import", "traits.json", "-o", "calm.yaml", "--prompts", "calm.jsonl")
    row = json.loads(Path("calm.jsonl").read_text(encoding="utf-8"))
    (principle,) = load_constitution("calm.yaml").principles
    assert row == {"prompt": "Calm down!", "tags": [principle.id]}


def test_nothing_is_overwritten_unasked(folder):
    Path("there.yaml").write_text("mine", encoding="utf-8")
    for command in (
        ("import", "chain.json", "-o", "there.yaml"),
        ("import", "traits.json", "-o", "new.yaml", "--prompts", "there.yaml"),
        ("export", "harmlessness", "--to", "icai", "-o", "there.yaml"),
        ("new", "there.yaml", "--principle", "The assistant is kind."),
    ):
        assert "there.yaml: exists already" in told(*command)
    assert Path("there.yaml").read_text(encoding="utf-8") == "mine"
    assert not Path("new.yaml").exists()
    invoke("import", "chain.json", "-o", "there.yaml", "--overwrite")
    assert load_constitution("there.yaml").principles
    assert "is a folder" in told("import", "chain.json", "-o", folder)


def test_what_is_read_is_not_written_over(folder):
    text = Path("traits.json").read_text(encoding="utf-8")
    for command in (
        ("import", "traits.json", "-o", "traits.json"),
        ("import", "traits.json", "-o", "x.yaml", "--prompts", "./traits.json"),
        ("import", "chain.json", "-o", "traits.json", "--few-shot", "traits.json"),
        ("export", "traits.json", "--to", "icai", "-o", folder / "traits.json"),
    ):
        assert "is what is read; name another" in told(*command, "--overwrite")
    assert Path("traits.json").read_text(encoding="utf-8") == text
    same = told("import", "traits.json", "-o", "x.yaml", "--prompts", "x.yaml")
    assert "--prompts: x.yaml is where the constitution goes" in same


def test_a_wrong_file_leaves_nothing_behind(folder):
    Path("chain.json").write_text('{"x": {"critique_request": "y"}}', encoding="utf-8")
    assert "x.revision_request: is missing" in told("import", "chain.json", "-o", "x.yaml")
    invoke("new", "bare.yaml", "--principle", "The assistant is kind.")
    bare = ("export", "bare.yaml", "--to", "nemo-aligner", "-o", "x.json")
    assert "has no examples" in told(*bare)
    Path("bare.yaml").unlink()
    Path("constitution.schema.json").unlink()  # it came with bare.yaml
    assert sorted(path.name for path in folder.iterdir()) == ["chain.json", "traits.json"]


def test_export_says_what_it_left_out(folder):
    result = invoke("export", "harmlessness", "--to", "langchain", "--out", "h.json")
    assert "left out: tests of 14 principles" in result.stderr
    assert len(json.loads(Path("h.json").read_text(encoding="utf-8"))) == 14
    invoke("import", "h.json", "--out", "h.yaml")
    ids = [principle.id for principle in load_constitution("h.yaml").principles]
    assert ids == [principle.id for principle in load_constitution("harmlessness").principles]


# new


def test_new_from_options_is_valid_at_once(folder):
    result = invoke(
        "new", "Our Rules.yaml", "--description", "For the desk.", "--extends", "harmlessness",
        "--principle", "The assistant is kind.", "--principle", "The assistant is kind: always.",
    )  # fmt: skip
    assert "Our Rules.yaml: started" in result.stdout
    loaded = load_constitution("Our Rules.yaml")
    assert (loaded.name, loaded.description) == ("our-rules", "For the desk.")
    assert [p.id for p in loaded.principles[-2:]] == ["kind", "kind-always"]


def test_new_without_a_terminal_needs_a_principle(folder):
    assert "a constitution needs a principle; say --principle" in told("new", "x.yaml")
    said = told("new", "x.yaml", "--extends", "harmles")
    assert "did you mean 'harmlessness'?" in said
    assert not Path("x.yaml").exists()


def test_new_asks_on_a_terminal(folder):
    """Name, purpose, what to build on, then principles until an empty line."""
    ours, theirs = pty.openpty()
    command = [*SOLON, "constitution", "new", "rules.yaml"]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    answers = ("House Rules", "For the house.", "", "", "The assistant is kind.", "")
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    out, err = process.communicate(timeout=300)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, err
    assert b"It needs at least one" in out
    loaded = load_constitution("rules.yaml")
    assert (loaded.name, loaded.description) == ("house-rules", "For the house.")
    assert [principle.statement for principle in loaded.principles] == ["The assistant is kind."]


# Real files


@needs_data
@pytest.mark.parametrize(
    "file",
    [
        "anthropic_cai/CritiqueRevisionInstructions.json",
        "anthropic_cai/RLMadisonInstructions.json",
        "llm_swarm/constitution_anthropic.json",
    ],
)
def test_published_constitutions_run_through_revise(folder, file):
    invoke("import", DATA / file, "--out", "sixteen.yaml")
    rows = "".join(json.dumps({"prompt": f"Question {n}?"}) + "\n" for n in range(30))
    Path("p.jsonl").write_text(rows, encoding="utf-8")
    options = ("-c", "sixteen.yaml", "-p", "p.jsonl", "-m", "scripted", "-o", "run")
    finished = subprocess.run(
        [*SOLON, "revise", *options, "--select", "every", "--accept", "always"],
        capture_output=True,
        env=ENVIRONMENT,
    )
    assert finished.returncode == 0, finished.stderr
    lines = Path("run/records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 30
    assert {len(record["rounds"]) for record in records} == {16}
