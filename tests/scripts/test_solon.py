"""What the command does with everything that goes wrong: one clear line, and nothing that would
steer the terminal."""

import io
import json
import os
import sqlite3
import subprocess
import sys

import pytest

from engine.generators.base import GeneratorUnavailable
from engine.generators.scripted import ScriptedGenerator
from scripts import solon as command

# The command ends with its process and leaves its console on standard error open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

ESCAPE = "\x1b[31mred\x9b0m \u202etxet"
RULES = """\
name: house
version: "1.0.0"
principles:
  - id: kind
    statement: "The assistant is kind. \\e[31m \\u202e"
"""


@pytest.fixture
def solon(tmp_path, monkeypatch, capfd):
    """Runs the command in this process, in a folder with `rules.yaml` and `p.jsonl`; gives the
    exit code and what it wrote to standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "_leave", sys.exit)
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "p.jsonl").write_text('{"id": "a", "prompt": "Hello?"}\n', encoding="utf-8")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["solon", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        written = capfd.readouterr()
        return ended.value.code, written.out, written.err

    return run


def revise(*more, model="scripted", out="run", prompts="p.jsonl"):
    return ("revise", "-c", "rules.yaml", "-p", prompts, "-m", model, "-o", out, *more)


def told_in_one_line(result, *words):
    code, out, err = result
    assert code == 2, (out, err)
    assert len(err.strip().splitlines()) == 1, err
    for word in words:
        assert word in err


def steers_nothing(text):
    return not any(character in text for character in "\x1b\x9b\x07\u202e")


# The system's errors


def test_paths_that_the_system_refuses_are_one_line(solon):
    told_in_one_line(solon(*revise(out="p.jsonl/sub")), "p.jsonl", "Not a directory")
    told_in_one_line(solon(*revise(out="x" * 700)), "File name too long")
    told_in_one_line(solon(*revise(prompts="x" * 700)), "File name too long")
    told_in_one_line(solon("report", "x" * 700), "File name too long")


@pytest.mark.parametrize("folder", ["/proc/foo", "/sys/foo"])
def test_folders_that_cannot_be_made_are_one_line(solon, folder):
    told_in_one_line(solon(*revise(out=folder)), folder, "cannot be read or written")


def test_a_locked_or_failing_database_is_one_line(solon, monkeypatch):
    def fail(*_, **__):
        raise sqlite3.OperationalError("something\nunforeseen")

    monkeypatch.setattr("engine.runs.run.CompletionCache", fail, raising=False)
    monkeypatch.setattr("engine.runs.directory.CompletionCache", fail, raising=False)
    told_in_one_line(solon(*revise()), "something unforeseen")


def test_a_run_goes_on_where_its_pace_cannot_be_kept(solon, tmp_path):
    (tmp_path / "cache").write_text("no folder", encoding="utf-8")
    code, out, err = solon(*revise("--max-tokens", 900, "--rounds", 1))
    assert code == 0, err
    assert "1 prompts" in out


# Names and markup


@pytest.mark.parametrize("name", ["run[/x]a", "run[bold]a", "run:smile:"])
def test_brackets_in_a_path_are_no_markup(solon, tmp_path, name):
    for said in ("1 prompts", "nothing to do"):
        code, out, err = solon(*revise(out=name))
        assert code == 0, err
        assert said in out + err
    assert f"{name}: every conversation" in err
    assert (tmp_path / name / "records.jsonl").is_file()


def test_brackets_in_a_spec_are_no_markup(solon, tmp_path):
    name = "we[/red]ird.yaml"
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).write_text("rules: []\n", encoding="utf-8")
    code, out, err = solon(*revise("--plan", model=f"scripted:{name}"))
    assert code == 0, err
    assert f"scripted:{name}" in out


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\u202eb"])
def test_a_path_does_not_steer_the_terminal(solon, name):
    for _ in range(2):
        code, out, err = solon(*revise(out=name))
        assert code == 0, err
        assert steers_nothing(out + err)
    assert "⟨U+" in err
    told = solon(*revise(model=f"scripted:{name}"))
    told_in_one_line(told, "⟨U+")
    assert steers_nothing(told[2])


# What models and constitutions say


def test_what_a_model_says_does_not_steer_the_terminal(solon, tmp_path):
    script = {
        "rules": [
            {"match": "Hello", "reply": f"One {ESCAPE}"},
            {"match": "(?i)identify|critique", "reply": f"Bad {ESCAPE}"},
            {"reply": f"Two {ESCAPE}", "probabilities": [0.1, 0.9]},
        ]
    }
    (tmp_path / "s.json").write_text(json.dumps(script), encoding="utf-8")
    code, out, err = solon("try", "rules.yaml", "Hello?", "-m", "scripted:s.json", "--rounds", 1)
    assert code == 0, err
    assert steers_nothing(out + err)
    assert out.count("⟨U+001B⟩[31mred⟨U+009B⟩0m ⟨U+202E⟩txet") >= 3


@pytest.mark.parametrize("options", [[], ["--rendered"]])
def test_a_constitution_does_not_steer_the_terminal(solon, options):
    code, out, err = solon("constitution", "show", "rules.yaml", *options)
    assert code == 0, err
    assert steers_nothing(out)
    assert "⟨U+001B⟩[31m ⟨U+202E⟩" in out


def test_trying_a_model_that_is_gone_speaks_of_no_resuming(solon, monkeypatch):
    async def gone(self, request):
        raise GeneratorUnavailable("no server answers")

    monkeypatch.setattr(ScriptedGenerator, "generate", gone)
    told = solon("try", "rules.yaml", "Hello?", "-m", "scripted")
    told_in_one_line(told, "no server answers")
    assert "resumes" not in told[2]


@pytest.mark.parametrize("model", ["server:x\udcff@http://h/v1", "scripted:\udcff"])
def test_bytes_that_are_no_text_are_one_line(solon, model):
    told_in_one_line(solon(*revise(model=model)), "⟨U+DCFF⟩", "UTF-8")
    assert not os.path.exists("run")


def test_no_model_at_all_is_one_line(solon):
    told = solon(*revise(model=""))
    told_in_one_line(told, "embedded", "server")
    assert "model directory" not in told[2]


def test_prompts_from_a_pipe_are_refused_and_not_waited_for(solon, tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    told_in_one_line(solon(*revise(prompts="pipe.jsonl")), "pipe.jsonl", "a pipe or a device")


def test_prompts_from_standard_input(solon, tmp_path, monkeypatch):
    def given(content):
        stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        monkeypatch.setattr(sys, "stdin", stream)
        return solon(*revise("--accept", "always", "--select", "random", prompts="-"))

    told_in_one_line(given(b'{"prompt": ""}\n'), "<stdin>:1: the prompt is empty")
    code, _, err = given(b'{"prompt": "Hello?"}\n{"prompt": "And now?"}\n')
    assert code == 0, err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert manifest["prompts"] | {"hash": ""} == {
        "path": "<stdin>",
        "columns": {"prompt": None, "id": None, "tags": None, "format": None},
        "count": 2,
        "hash": "",
    }
    told = solon("constitution", "diff", "rules.yaml", "rules.yaml", "--run", "run")
    told_in_one_line(told, "<stdin>", "came from standard input", "--prompts")


def test_a_conversation_as_text_is_one_line_that_names_the_option(solon, tmp_path):
    (tmp_path / "p.jsonl").write_text(
        '{"prompt": "Human: a\\n\\nAssistant: b\\n\\nHuman: c"}\n', encoding="utf-8"
    )
    told_in_one_line(solon(*revise()), "p.jsonl:1: 'prompt'", "--prompt-format conversation")
    for format, count in (("conversation", 3), ("text", 1)):
        options = ("--accept", "always", "--select", "random", "--overwrite")
        code, _, err = solon(*revise(*options, "--prompt-format", format))
        assert code == 0, err
        record = json.loads((tmp_path / "run" / "records.jsonl").read_text("utf-8"))
        assert len(record["prompt"]) == count


def test_more_prompts_are_an_update_that_says_what_it_keeps(solon, tmp_path):
    options = ("--accept", "always", "--select", "random")
    assert solon(*revise(*options))[0] == 0
    with (tmp_path / "p.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "b", "prompt": "And now?"}\n')
    told_in_one_line(solon(*revise(*options)), "prompts was", "--update")
    code, _, err = solon(*revise(*options, "--update"))
    assert code == 0, err
    assert "the prompts were edited: 1 of 2 records are kept; the previous records are in" in err


def test_what_json_cannot_hold_is_counted_once(solon, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"prompt": "Hello?", "meta": {"score": float("nan")}, "raw": b"text"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "p.parquet")
    options = ("--accept", "always", "--select", "random")
    code, _, err = solon(*revise(*options, prompts="p.parquet"))
    assert code == 0, err
    assert "p.parquet: of the values that JSON cannot hold 1 became null" in err
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert manifest["replaced_values"] == {"nulls": 1, "texts": 1}


def test_a_damaged_parquet_file_is_named(solon, tmp_path):
    (tmp_path / "p.parquet").write_bytes(b"PAR1 and no more")
    told_in_one_line(solon(*revise(prompts="p.parquet")), "p.parquet: is not a Parquet file")


@pytest.mark.parametrize("name", ["--output=x", "--output=x:rules.yaml"])
def test_a_name_never_reaches_git_as_an_option(solon, tmp_path, name):
    before = sorted(tmp_path.iterdir())
    told_in_one_line(solon("constitution", "diff", "--", name, "rules.yaml"), name)
    assert sorted(tmp_path.iterdir()) == before


def shown(folder, stdout, **environment):
    """`solon constitution show` of a rule with an emoji, in a process of its own."""
    (folder / "emoji.yaml").write_text(RULES.replace("kind.", "kind \U0001f600."), "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "scripts.solon", "constitution", "show", folder / "emoji.yaml"],
        env={**os.environ, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


def test_what_the_terminal_cannot_show_is_escaped(tmp_path):
    result = shown(tmp_path, subprocess.PIPE, PYTHONIOENCODING="latin-1")
    assert result.returncode == 0, result.stderr
    assert b"kind \\U0001f600." in result.stdout


def test_nobody_reading_on_is_no_traceback(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    result = shown(tmp_path, writer)
    os.close(writer)
    assert result.returncode == 1 and result.stderr == b""
