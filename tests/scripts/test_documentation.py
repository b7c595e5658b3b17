"""What the pages tell people to type works as written, on the scripted generator."""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from constitution.problems import InputError, Stopped
from scripts.solon import app
from tests.engine.tiny_model import build_tiny_model

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
IN_ORDER = [
    "README",
    "training",
    "evaluation",
    "review",
    "judges",
    "generators",
    "python",
    "scale-out",
    "redteam",
]
"""Later pages use the runs that earlier ones leave; the others stand alone."""
SHELL = ("", "bash", "sh")
MAY_SAY_NO = ("constitution diff", "constitution test", "--strict")
"""Exit 1 is what `diff` says of files that differ, `test` of a judge that guesses, `--strict` of advice."""
OTHER_PROGRAMS = {
    "make": lambda words: f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8"),
    "git": lambda words: True,  # tests/scripts/test_constitution_diff.py runs it
    "echo": lambda words: True,
    "accelerate": lambda words: (ROOT / words[words.index("--config_file") + 1]).is_file(),
    "sbatch": lambda words: any((ROOT / word).is_file() for word in words),
}
"""What else a page may tell people to type, and what makes it true."""


def blocks(page, *languages):
    text = page.read_text(encoding="utf-8")
    every = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for named, block in every if named in languages]


def commands(page):
    """What a page tells people to type, as lists of words."""
    for block in blocks(page, *SHELL):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def by_hand(word):
    """Models that are not on this machine are played by the scripted generator."""
    spec = r"(?:embedded|(?:vllm|server|transformers):[^\s=]\S*)"
    return re.sub(rf"(?<![\w-]){spec}$", "scripted", word)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Throughput and judges' answers of these runs are nobody else's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with the files that the pages name."""
    folder = tmp_path_factory.mktemp("workshop")
    for name in ("constitution", "scripts"):  # the pages speak from the root of the project
        (folder / name).symlink_to(ROOT / name)
    prompts = [{"prompt": f"How do I do thing {n}?", "tags": ["t"]} for n in range(40)]
    answered = [{"prompt": f"Question {n}?", "completion": f"Answer {n}."} for n in range(20)]
    compared = [
        {"prompt": f"Question {n}?", "chosen": f"Good {n}.", "rejected": f"Bad {n}."}
        for n in range(12)
    ]
    labels = [
        {"prompt": f"Question {n}?", "answer": f"{word} {n}, as it is.", "label": label}
        for n in range(24)
        for word, label in (("I refuse", 1), ("Here it is", 0))
    ]
    garak = [
        {"entry_type": "start_run setup", "plugins.target_name": "m"},
        {"entry_type": "eval", "probe": "dan.Dan", "detector": "dan.DAN", "passed": 3,
         "total": 4, "total_evaluated": 4},
    ]  # fmt: skip
    for name, rows in {
        "prompts": prompts, "questions": prompts[:5], "held_out": prompts[:6],
        "helpful": answered, "comparisons": compared, "labels": labels, "garak.report": garak,
    }.items():  # fmt: skip
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    for page in PAGES:
        for block in blocks(page, "yaml"):
            if named := re.match(r"# ([\w-]+\.yaml)\b", block):
                text = re.sub(r"(?<=: )server:\S+", "scripted", block)
                (folder / named[1]).write_text(text, encoding="utf-8")
    return folder


def reviewed(folder):
    """What Label Studio exports once somebody has answered every task."""
    for tasks in (folder / "runs/labels/exports").glob("label-studio-*/tasks.json"):
        rows = [
            task["data"] | {"annotation_id": n, "annotator": 1, "better": [{"selected": "left"}]}
            for n, task in enumerate(json.loads(tasks.read_text(encoding="utf-8")))
        ]
        (folder / "reviewed.json").write_text(json.dumps(rows), encoding="utf-8")


def solon(words, folder):
    """Run a command there, in this process."""
    typed = shlex.join(["solon", *words])
    allowed = (0, 1) if any(saying in typed for saying in MAY_SAY_NO) else (0,)
    with contextlib.chdir(folder):
        try:
            code = app(words, standalone_mode=False)
        except (InputError, Stopped) as error:
            code = error
    assert (code or 0) in allowed, f"{typed}: {code}"


def run_all(page, folder):
    """Every command of a page in its order, those that train left out; how many ran."""
    ran = 0
    for words in commands(page):
        if words[0] != "solon":
            assert OTHER_PROGRAMS[words[0]](words), words
            continue
        if words[1] in (
            "train",
            "best-of-n",
            "serve",
            "garak",
        ):  # need models, or a server, or are one
            continue
        words = [by_hand(word) for word in words]
        if words[1] == "run":
            words.append("--plan")
        reviewed(folder)
        solon(words[1:], folder)
        ran += 1
    return ran


@pytest.fixture(scope="module")
def walked(workshop):
    """The folder after every page was followed in order, and how many commands of each ran."""
    pages = {page.stem: page for page in PAGES}
    return workshop, {name: run_all(pages[name], workshop) for name in IN_ORDER}


def test_every_command_of_the_pages_runs_in_order(walked):
    folder, ran = walked
    assert ran["README"] >= 6 and ran["training"] >= 4 and ran["judges"] >= 5, ran
    assert (folder / "runs/first/report.html").exists()
    assert (folder / "runs/first/exports/trl-sft/train.jsonl").exists()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in IN_ORDER], ids=lambda page: page.name
)
def test_every_command_of_a_page_runs_in_an_empty_folder(page, tmp_path):
    run_all(page, tmp_path)


@pytest.mark.slow
def test_every_training_command_of_the_pages_runs(walked):
    """On a tiny model, with the configurations that the pages show."""
    folder, _ = walked
    model = build_tiny_model(folder / "tiny")
    typed = [words for page in PAGES for words in commands(page) if words[:2] == ["solon", "train"]]
    assert len(typed) >= 3
    for words in typed:
        few = ["--set", f"model={model}", "--set", "max_steps=1", "--set", "max_length=256"]
        few += ["--set", "max_answer=8"] if words[2] in ("grpo", "ppo") else []
        command = [sys.executable, "-m", "scripts.solon", *map(by_hand, words[1:]), *few]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def test_readme_python_runs():
    (code,) = blocks(PAGES[0], "python")
    code = code.replace("embedded", "scripted")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(("revised ", "compliant "))


def test_the_evaluation_from_python_runs_and_the_command_takes_its_directory(tmp_path):
    (code,) = (b for b in blocks(ROOT / "docs" / "python.md", "python") if "EvaluationRun" in b)
    code = re.sub(r'"(?:embedded|vllm:[^"]*|server:[^"]*)"', '"scripted"', code)
    rows = [json.dumps({"id": f"p{n}", "prompt": f"Question {n}?"}) for n in range(4)]
    (tmp_path / "held_out.jsonl").write_text("\n".join(rows), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "runs/evaluation/evaluation.html" in result.stdout and "small sets" in result.stdout
    before = (tmp_path / "runs/evaluation/results.json").read_bytes()
    words = ["evaluate", "-c", "harmlessness", "-p", "held_out.jsonl", "--judge", "scripted"]
    words += ["--model", "base=scripted", "--model", "sft=scripted", "--per-set", "20"]
    solon([*words, "--out", "runs/evaluation"], tmp_path)
    assert (tmp_path / "runs/evaluation/results.json").read_bytes() == before


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_pages_compiles(page):
    for code in blocks(page, "python"):
        compile(code, str(page), "exec")
