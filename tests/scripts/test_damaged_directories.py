"""Directories that a disk, an editor or a bad copy has damaged: every command that reads one ends
with an exit code of its own and a line that names what is wrong, and never in a traceback.

One file is damaged at a time, in every way that `_damaged` knows; the cases of the default suite are
drawn from all of them with a fixed seed.
"""

import contextlib
import json
import os
import random
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
import typer

from scripts import solon as command
from scripts.commands import run_recipe
from tests.training.review.exports import argilla_dump, label_studio_json, label_studio_min

# The command ends with its process and leaves its console on standard error open.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

SEED = 10
CASES = {
    "revised": 80, "labels": 80, "answers": 40, "reviewed": 50, "reviews": 30, "inputs": 30,
    "recipe": 20, "measured": 8,
}  # fmt: skip
"""How many are drawn of each group."""
FOUND = [
    ("revised", "manifest.json", "constitution = null", "trl-preference"),
    ("revised", "manifest.json", "identity.models.policy.spec = 7", "diff"),
    ("revised", "manifest.json", "identity.models.critic.fingerprint = null", "diff"),
    ("revised", "records.jsonl", "id = null", "revise"),
    ("revised", "records.jsonl", 'rounds = "half', "diff"),
    ("revised", "records.jsonl", "rounds.0.critique = NaN", "diff"),
    ("revised", "records.jsonl", "rounds.0.revision missing", "llm-swarm"),
    ("revised", "failures.jsonl", "an object", "revise"),
    ("labels", "manifest.json", "constitution = NaN", "label"),
    ("labels", "records.jsonl", "pairs.0.first = 7", "argilla"),
    ("labels", "records.jsonl", "pairs.0.preferences = []", "import-reviews"),
    ("answers", "records.jsonl", 'outcome = {"id": 1}', "answer"),
    ("reviews", "reviews.jsonl", "share = 1000", "trl-preference"),
    ("inputs", "pairs/train.jsonl", 'chosen = "half', "trl-preference"),
]
"""Were once tracebacks: group, file, damage and a word of the command."""
OF_THE_MANIFEST = ("the run's prompts", "has no stakeholder")
"""What a damaged manifest may lead to, which is then named instead."""
LONGEST_LINE = 1 << 20
LONGEST_MESSAGE = 5000

RULES = """\
name: house
version: "1.0.0"
principles:
  - {id: kind, statement: The assistant is kind., severity: high}
  - {id: honest, statement: The assistant says what is true.}
"""
RECIPE = """\
name: tiny
constitution: rules.yaml
prompts: prompts.jsonl
held_out: 0.25
model: embedded
judge: scripted
rounds: 1
sft: {epochs: 1}
"""
PROMPTS = ("-c", "rules.yaml", "-p", "prompts.jsonl")
REVISE = ("revise", *PROMPTS, "-m", "scripted", "-o", "revised", "--select", "random",
          "--accept", "always", "--rounds", "1")  # fmt: skip
LABEL = ("label", *PROMPTS, "--policy", "scripted", "--judge", "scripted", "-o", "labels")
ANSWER = ("answer", "-p", "prompts.jsonl", "-m", "scripted", "-o", "answers")
EVALUATE = (
    "evaluate", *PROMPTS, "--judge", "scripted", "--out", "measured", "--per-set", "2",
    "--model", "base=scripted", "--model", "tuned=scripted", "--harmful", "none",
    "--benign", "none", "--trained-on", "rows/train.jsonl",
)  # fmt: skip
SPLIT = ("split", "-p", "prompts.jsonl", "--held-out", "0.5", "-o", "parts", "--overwrite")
RUN = ("run", "recipe.yaml", "--out", "recipe")


def export(run, format, *more):
    return ("export", run, "-f", format, "-o", "exported", "--overwrite", *more)


def import_reviews(file):
    return ("import-reviews", file, "--run", "labels", "-o", "imported", "--overwrite")


CALIBRATE = ("judge", "calibrate", "labelled.jsonl", "--judge", "rules:refusal", "-o", "calibrated")
OF_RUN = ("manifest.json", "records.jsonl", "failures.jsonl", "constitution.yaml")
OF_REVISED = tuple(f"revised/{name}" for name in (*OF_RUN, "escalations.jsonl"))
OF_LABELS = tuple(f"labels/{name}" for name in OF_RUN)
OF_ANSWERS = ("answers/manifest.json", "answers/records.jsonl", "answers/answers.jsonl")

READ_BY: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "revised": (
        (*OF_REVISED, "revised/completions.sqlite"),
        (
            ("report", "revised"),
            export("revised", "trl-sft", "--every-revision"),
            export("revised", "trl-preference"),
            export("revised", "trl-prompt"),
            export("revised", "llm-swarm"),
            export("revised", "label-studio", "--queue", "escalated"),
            ("constitution", "diff", "rules.yaml", "edited.yaml", "--run", "revised"),
            REVISE,
        ),
    ),
    "labels": (
        OF_LABELS,
        (
            ("report", "labels"),
            export("labels", "trl-preference"),
            export("labels", "trl-preference", "--reviews", "reviews"),
            export("labels", "label-studio"),
            export("labels", "argilla"),
            import_reviews("back.json"),
            LABEL,
        ),
    ),
    "answers": (
        OF_ANSWERS,
        (
            ("report", "answers"),
            ANSWER,
            export("revised", "trl-sft", "--mix", "answers/answers.jsonl"),
        ),
    ),
    "reviewed": (("back.json", "min.json", "dump.json"), ()),
    "reviews": (
        ("reviews/reviews.jsonl",),
        (export("labels", "trl-preference", "--reviews", "reviews"),),
    ),
    "inputs": (
        ("rows/train.jsonl", "pairs/train.jsonl", "prompts.jsonl", "labelled.jsonl"),
        (
            export("revised", "trl-sft", "--mix", "rows/train.jsonl"),
            export("labels", "trl-preference", "--mix", "pairs/train.jsonl"),
            CALIBRATE,
            SPLIT,
        ),
    ),
    "measured": (("measured/manifest.json", "measured/results.json"), (EVALUATE,)),
    "recipe": (
        ("recipe/manifest.json", "recipe/stages/*.json", "recipe/*/manifest.json"),
        ((*RUN, "--plan"), RUN),
    ),
}


def solon(*arguments) -> tuple[int, str]:
    """Exit code and standard error of a command run in this process, as `solon` runs it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        TemporaryFile("w+", encoding="utf-8") as told,
        TemporaryFile("w", encoding="utf-8") as shown,
        contextlib.redirect_stdout(shown),
        contextlib.redirect_stderr(told),
    ):
        patch.setattr(command, "_leave", sys.exit)
        patch.setattr(sys, "argv", ["solon", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        told.seek(0)
        return ended.value.code, told.read()


def fake_stage(stage, _command):
    """Stands in for a stage's process: it leaves empty files where the stage's product would be."""
    for file in stage.product:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"complete": true}', encoding="utf-8")
    return 0


def succeed(*arguments):
    code, told = solon(*arguments)
    assert code in (0, 1), told


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("damaged")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SOLON_CACHE", str(folder / "cache"))
        patch.setattr(command, "app", typer.main.get_command(command.app))
        patch.setattr(run_recipe, "run_stage", fake_stage)
        build(folder)
        yield folder


def build(folder):
    """Everything that a project leaves on disk, in `folder`."""
    lines = [{"id": f"p{row}", "prompt": f"Question {row}?", "source": "a"} for row in range(4)]
    said = [{**line, "answer": "Sure.", "label": row % 2} for row, line in enumerate(lines)]
    for name, rows in (("prompts.jsonl", lines), ("labelled.jsonl", said)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    files = {"rules": RULES, "edited": RULES.replace("true", "right")}
    for name, text in (files | {"recipe": RECIPE}).items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    for made in (REVISE, LABEL, ANSWER, SPLIT, CALIBRATE):
        succeed(*made)
    succeed("export", "revised", "-f", "trl-sft", "-o", "rows")
    succeed("export", "labels", "-f", "trl-preference", "-o", "pairs")
    succeed("export", "labels", "-f", "label-studio", "-o", "studio")
    succeed("export", "labels", "-f", "argilla", "-o", "dataset")
    write_reviewed(folder)
    succeed("import-reviews", "back.json", "--run", "labels", "-o", "reviews")
    succeed(*EVALUATE)
    failed = {"id": "p9", "row": 9, "stage": "judge", "reason": "refused", "message": "No."}
    for run in ("revised", "labels"):
        (folder / run / "failures.jsonl").write_text(
            json.dumps(failed | {"retryable": True}) + "\n", encoding="utf-8"
        )
    solon(*RUN)


def write_reviewed(folder):
    def first(_shown):
        return "A"

    tasks, records = folder / "studio/tasks.json", folder / "dataset/records.json"
    for name, rows in (
        ("back", label_studio_json(tasks, first, first)),
        ("min", label_studio_min(tasks, first)),
        ("dump", argilla_dump(records, first, first)),
    ):
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")


# Damage -----------------------------------------------------------------------------------------

SURROGATE = '"half \\ud800"'
WRONG = (
    "null", "true", "7", "-1", '"text"', "[]", "{}", "[1]", '[[1], {"id": 1}]', '{"id": 1}', "NaN",
    "1e999", "1" + "0" * 400, "1" + "0" * 5000, SURROGATE, "[" * 150 + "]" * 150, '"\\u0000"', '""',
)  # fmt: skip
"""Values, as JSON, in place of another."""


@dataclass(frozen=True)
class Case:
    """One command, and one file as it reads then."""

    file: str
    damage: str
    content: bytes
    arguments: tuple[str, ...]


def damaged(file: Path) -> Iterator[tuple[str, bytes]]:
    """Names of kinds of damage to a file, and what it then holds."""
    good = file.read_bytes()
    yield "cut", good[: len(good) // 2]
    yield "empty", b""
    yield "binary", bytes(range(256)) * 8
    yield "not UTF-8", good[:1] + b"\xff\xfe" + good[1:]
    yield "deep", b"[" * 5000 + b"]" * 5000 + b"\n"
    yield "deep objects", b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"\n"
    yield "null", b"null\n"
    yield "a list", b'[1, "a"]\n'
    yield "an object", b'{"id": 1}\n'
    yield "a long line", b'{"a": "' + b"x" * LONGEST_LINE + b'"}\n'
    yield "twice", good + good
    if file.suffix == ".jsonl":
        lines = good.decode().splitlines()
        yield "a line twice", "\n".join([*lines[:1], *lines, ""]).encode()
        for name, text in changed(json.loads(lines[0])) if lines else ():
            yield name, "\n".join([text, *lines[1:], ""]).encode()
    elif file.suffix == ".json":
        for name, text in changed(json.loads(good)):
            yield name, text.encode()


def changed(value: Any) -> Iterator[tuple[str, str]]:
    """`value` as JSON with one inner value missing or of another kind, down to five levels."""
    marker = "\x01here\x01"
    for at in inner(value, 5):
        copy = json.loads(json.dumps(value))
        holder = copy
        for step in at[:-1]:
            holder = holder[step]
        name = ".".join(map(str, at))
        holder[at[-1]] = marker
        text = json.dumps(copy)
        for wrong in WRONG:
            yield f"{name} = {wrong[:20]}", text.replace(json.dumps(marker), wrong)
        del holder[at[-1]]
        yield f"{name} missing", json.dumps(copy)


def inner(value: Any, levels: int) -> Iterator[tuple[Any, ...]]:
    """Ways to every value in a value; of a list its first item stands for all."""
    if not levels or not isinstance(value, dict | list):
        return
    keys = value if isinstance(value, dict) else range(min(1, len(value)))
    for key in keys:
        yield (key,)
        for rest in inner(value[key], levels - 1):
            yield (key, *rest)


def cases(place: Path, group: str) -> list[Case]:
    """All cases of a group of files."""
    patterns, commands = READ_BY[group]
    return [
        Case(str(file.relative_to(place)), name, content, arguments)
        for pattern in patterns
        for file in sorted(place.glob(pattern))
        for name, content in damaged(file)
        for arguments in commands or (import_reviews(file.name),)
    ]


def fault(place: Path, case: Case) -> str | None:
    """What is wrong with how a command takes a damaged file, None if nothing is."""
    try:
        (place / case.file).write_bytes(case.content)
        code, told = solon(*case.arguments)
    except Exception:  # noqa: BLE001 - whatever it is, it would have been a traceback
        return traceback.format_exc(limit=-4)
    if code not in (0, 1, 2, 3):
        return f"exit code {code}: {told}"
    named = (Path(case.file).parts[0], *OF_THE_MANIFEST)
    if code == 2 and not any(name in told for name in named):
        return f"does not name the file: {told}"
    if "Traceback" in told or len(told) > LONGEST_MESSAGE:
        return f"is not readable: {told[:LONGEST_MESSAGE]}"
    return None


class Kept:
    """The files of a folder, put back after each case where they changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents = {file: file.read_bytes() for file in self._files()}
        self.stamps = {file: self._stamp(file) for file in self.contents}

    def _files(self) -> list[Path]:
        walked = os.walk(self.folder)
        return [Path(at, name) for at, _, names in walked for name in names]

    def restore(self) -> None:
        now = set(self._files())
        for file in now - self.contents.keys():
            file.unlink()
        for name in ("exported", "imported"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for file, content in self.contents.items():
            if file not in now or self.stamps[file] != self._stamp(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
                self.stamps[file] = self._stamp(file)

    def _stamp(self, file: Path) -> tuple[int, ...]:
        found = file.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns


def faults(place: Path, tried: Iterable[Case]) -> list[str]:
    found, kept = [], Kept(place)
    for case in tried:
        if told := fault(place, case):
            found.append(f"{case.file}: {case.damage}: {' '.join(case.arguments)}\n{told}")
        kept.restore()
    return found


@pytest.mark.parametrize("group", READ_BY)
def test_damage_is_told_and_never_a_traceback(place, group):
    every = cases(place, group)
    drawn = random.Random(SEED).sample(every, min(CASES[group], len(every)))
    assert not (found := faults(place, drawn)), "\n".join(found)


@pytest.mark.parametrize(("group", "file", "damage", "word"), FOUND)
def test_what_was_once_a_traceback_is_told(place, group, file, damage, word):
    tried = [
        case
        for case in cases(place, group)
        if case.file.endswith(file) and case.damage.startswith(damage) and word in case.arguments
    ]
    assert tried
    assert not (found := faults(place, tried[:2])), "\n".join(found)
