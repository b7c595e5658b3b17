"""What README and docs tell people to type works as written, on the scripted generator."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page, language):
    text = page.read_text(encoding="utf-8")
    every = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for named, block in every if named == language]


def test_readme_commands_run_in_order(tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Hello?"}\n{"prompt": "And now?"}\n', encoding="utf-8")
    lines = [line for block in blocks(PAGES[0], "") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("solon ")]
    assert len(commands) >= 6
    for command in commands:
        command = command.replace("embedded", "scripted").replace("runs/", f"{tmp_path}/")
        command = re.sub(r"(prompts|held_out)\.jsonl", str(prompts), command)
        command = re.sub(r"vllm:\S+", "scripted", command)
        result = subprocess.run(
            [sys.executable, "-m", "scripts.solon", *shlex.split(command)[1:]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"{command}\n{result.stderr}"
    assert (tmp_path / "first" / "report.html").exists()
    assert (tmp_path / "first" / "exports" / "trl-sft" / "train.jsonl").exists()


def test_every_constitution_command_runs_as_the_guide_has_it(tmp_path):
    """Exit 1 is what `diff` says of files that differ, `test` of a judge that guesses, and
    `--strict` of advice."""
    every = blocks(ROOT / "docs" / "constitution.md", "")
    (block,) = (block for block in every if "solon constitution list\n" in block)
    for command in block.replace("embedded", "scripted").splitlines():
        result = subprocess.run(
            [sys.executable, "-m", "scripts.solon", *shlex.split(command)[1:]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        may_say_no = any(word in command for word in (" diff ", " test ", "--strict"))
        assert result.returncode in ((0, 1) if may_say_no else (0,)), f"{command}\n{result.stderr}"
    for name in ("house-rules.yaml", "house-rules.json", "again.yaml", "tests.xml"):
        assert (tmp_path / name).is_file()


def test_readme_python_runs():
    (code,) = blocks(PAGES[0], "python")
    code = code.replace("embedded", "scripted")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("revised ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_pages_compiles(page):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")
