"""Every command starts without a model library; those that ask no model are done in little more time
than it takes to import what every command needs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from scripts.solon import app
from tests.test_layers import MODEL_LIBRARIES

ROOT = Path(__file__).parents[2]
CHAIN = {"polite": {"name": "p", "critique_request": "Is it rude?", "revision_request": "Mend it."}}
SECONDS = 2.5
"""Of processor time, that pass without a question. A model library takes more."""
IMPORTS = "import asyncio, jinja2, jsonlines, pydantic, rich.console, sqlite3, time, typer, yaml"
TIMES = 6
"""As long as `IMPORTS`: what a command may take on a machine so slow or busy that these, too, take
long. It is measured where a command has taken more than `SECONDS`."""
TRIES = 4
"""A command that took too long is timed again, up to so often: other work can only make it slower."""
PROBE = """
import json, sys, time
from scripts.solon import app
{before}
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    print(json.dumps({{"modules": sorted(sys.modules), "seconds": time.process_time()}}))
"""
REVISE = ("-c", "harmlessness", "-p", "p.jsonl")


def paths(command, *path):
    """Every command and group under `command`, as the words that name it."""
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from paths(child, *path, name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run, its prompts, and what the commands below read."""
    folder = tmp_path_factory.mktemp("light")
    rows = (json.dumps({"prompt": f"Question {row}?"}) + "\n" for row in range(40))
    (folder / "p.jsonl").write_text("".join(rows), encoding="utf-8")
    (folder / "chain.json").write_text(json.dumps(CHAIN), encoding="utf-8")
    solon(folder, "revise", *REVISE, "-m", "scripted", "-o", "run")
    return folder


def solon(folder, *arguments, before=""):
    """What the probe says of a command that ends well."""
    finished = subprocess.run(
        [sys.executable, "-c", PROBE.format(before=before), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.stdout, finished.stderr
    seen = json.loads(finished.stdout.splitlines()[-1])
    assert finished.returncode == 0, finished.stderr
    return seen


def is_light(seen):
    return seen["seconds"] < SECONDS or seen["seconds"] < TIMES * seconds_to_import()


def seconds_to_import():
    """What importing the common libraries takes here and now."""
    code = f"{IMPORTS}; print(time.process_time())"
    took = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(took.stdout)


def test_no_commands_help_loads_a_model_library(folder):
    """All in one process, one after another."""
    every = [[*path, "--help"] for path in paths(typer.main.get_command(app))]
    assert len(every) > 20
    before = f"for words in {every[1:]!r}: app(words, standalone_mode=False)"
    seen = solon(folder, "--help", before=before)
    assert not set(MODEL_LIBRARIES) & set(seen["modules"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("constitution", "check", "harmlessness"),
        ("constitution", "check", "harmlessness", "--format", "sarif"),
        ("constitution", "check", "harmlessness", "--judge", "scripted"),
        ("constitution", "show", "harmlessness"),
        ("constitution", "show", "harmlessness", "--rendered"),
        ("constitution", "diff", "harmlessness", "harmlessness", "--run", "run"),
        ("constitution", "diff", "harmlessness", "harmlessness"),
        ("constitution", "import", "chain.json", "-o", "x.yaml"),
        ("constitution", "export", "harmlessness", "--to", "llm-swarm", "-o", "x.json"),
        ("constitution", "new", "new.yaml", "--principle", "The assistant is kind."),
        ("constitution", "schema"),
        ("constitution", "list"),
        ("report", "run"),
        ("export", "run", "--format", "trl-sft"),
        ("split", "-p", "p.jsonl", "--held-out", "0.2", "--out", "split"),
        ("revise", *REVISE, "-m", "embedded", "-o", "planned", "--plan"),
        ("revise", *REVISE, "-m", "scripted", "-o", "run"),
        ("try", "harmlessness", "Hello?", "-m", "scripted"),
        ("run", "quickstart-cpu", "--plan"),
        ("run", "eight-gpu-fsdp", "--plan", "--gpu", "H100-80GB x8"),
    ],
    ids=" ".join,
)
def test_commands_are_light(folder, tmp_path, arguments):
    copies = (shutil.copytree(folder, tmp_path / f"{number}") for number in range(TRIES))
    tries = (solon(copy, *arguments) for copy in copies)
    seen = next(tries)
    assert not set(MODEL_LIBRARIES) & set(seen["modules"])
    assert is_light(seen) or any(is_light(again) for again in tries)
    needs_engine = arguments[0] != "constitution" or {"--judge", "--rendered", "--run"} & {
        *arguments
    }
    assert needs_engine or "engine.generators" not in seen["modules"]
