"""The shape of the code base: which way it depends, what it costs to import, how long it is."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("constitution", "engine", "training", "scripts")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODEL_LIBRARIES = ("torch", "vllm", "transformers", "datasets", "pandas", "trl", "aiohttp")

LONGEST_FILE = 300
LONGEST_FUNCTION = 40
MOST_MODULES = 800
"""Imported: a model library alone has more."""

needs_the_command = pytest.mark.skipif(
    not (ROOT / "scripts" / "solon.py").exists(), reason="no command line yet"
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_the_layers_hold():
    finished = run(str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache")
    assert finished.returncode == 0, finished.stdout + finished.stderr


PROBE = """
import json, sys
{code}
print(json.dumps({{"modules": sorted(sys.modules)}}))
"""


def probe(code: str) -> dict:
    finished = run(sys.executable, "-c", PROBE.format(code=code))
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import constitution, engine, training", id="packages"),
        pytest.param(
            """
from scripts.solon import main
sys.argv = ["solon", "--help"]
try:
    main()
except SystemExit as stopped:
    assert not stopped.code
""",
            id="command",
            marks=needs_the_command,
        ),
    ],
)
def test_importing_is_light(code):
    seen = probe(code)
    assert not set(MODEL_LIBRARIES) & set(seen["modules"])
    assert len(seen["modules"]) < MOST_MODULES


def every_module():
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if path.name != "__init__.py" and all(part.isidentifier() for part in parts):
            yield ".".join(parts)


def test_no_module_imports_a_model_library_when_imported():
    """Adapters and trainers too: the libraries are imported by the function that needs them."""
    seen = probe(
        "import importlib\nfor name in %r: importlib.import_module(name)" % [*every_module()]
    )
    assert not set(MODEL_LIBRARIES) & set(seen["modules"])


def test_files_are_short():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in SOURCES
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def functions_of(path):
    """Each function and the lines of its body: a command's signature is a list of options."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
            yield name, node.end_lineno - node.body[0].lineno + 1


def test_functions_are_short():
    lengths = dict(found for path in SOURCES for found in functions_of(path))
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def tracked_files():
    listed = run("git", "ls-files", "-z")
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = (name for name in listed.stdout.split("\0") if name)
    return [name for name in names if (ROOT / name).is_file()]


PACKAGE_SOURCES = re.compile(
    r"(--(extra-)?index-url|--find-links|--trusted-host)[ =]\S*[/.]"
    r"|https?://[^\s/]*(pypi|pythonhosted|download\.pytorch|conda\.anaconda)[^\s/]*"
    r"|https?://[^\s/]+/simple\b"
)


def test_no_package_source_is_written_down():
    """Where packages come from is the user's configuration, never ours."""
    found = [
        f"{name}: {match[0]}"
        for name in tracked_files()
        if (match := PACKAGE_SOURCES.search((ROOT / name).read_text("utf-8", errors="replace")))
    ]
    assert found == []


def test_no_path_of_one_machine_is_written_down():
    home = re.compile(r"(?<![\w.])/(home|Users|root)/\w+")
    found = [
        f"{name}: {match[0]}"
        for name in tracked_files()
        if (match := home.search((ROOT / name).read_text("utf-8", errors="replace")))
    ]
    assert found == []
