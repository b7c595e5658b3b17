"""The stages of a pipeline: what each reads and writes, and which have to run again.

A stage is skipped when neither its command nor the content of anything it reads has changed since
it finished, and what it left is still there. Its state is a small JSON file, written before it
starts and after it has ended, so that a killed pipeline knows where it stood.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constitution.problems import EXIT_INTERRUPTED, InputError, Stopped
from constitution.reading import read_json
from engine.runs.manifest import read_manifest
from engine.runs.output import SHARDS, OutputDirectory, OutputKind
from engine.storage.atomic import remove, write_json_atomic
from training.recipe.schema import Recipe

__all__ = [
    "Decision",
    "Stage",
    "StageFailed",
    "begin",
    "decide",
    "digest_of",
    "finish",
    "is_complete",
    "run_stages",
]

_CACHE = "completions.sqlite"
"""What was generated stays when a stage starts over: it is looked up by content."""
_ELSEWHERE = ("workers.", "report_to")
"""Settings of where a stage is worked on and what is told of it, which nothing that it leaves depends on."""
_EDITS = {"constitution changed", "prompts changed"}
"""What a stage that updates may go on after."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline.

    `reads` are what its outcome depends on besides its command: files by their content, anything
    else by an identity. `output` is the directory it alone writes; `product` the files in it that
    later stages read. `config` is written to a file for commands that take one. Where `resumes`,
    the command resumes what an interrupted one left; where `updates`, it re-uses the records of
    a constitution or prompts since edited.
    """

    name: str
    does: str
    command: tuple[str, ...]
    output: Path
    product: tuple[Path, ...]
    reads: Mapping[str, Path | str] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    accelerate: Path | None = None
    resumes: bool = False
    updates: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a stage, and why: `skip` it, `resume` it, `update` it to an edited
    constitution or prompts, or `start` it over."""

    action: Literal["skip", "resume", "update", "start"]
    why: str


def decide(stage: Stage, out: Path) -> Decision:
    """Compare what the stage would read now with what it read last time."""
    state = _read_state(stage, out)
    if state is None:
        return Decision("start", "not run yet")
    if state["status"] == "clearing":
        return Decision("start", "interrupted before")
    changed = _changes(state["inputs"], _inputs(stage, out))
    if changed:
        can_update = stage.updates and set(changed) <= _EDITS
        return Decision("update" if can_update else "start", "; ".join(changed))
    if state["status"] != "complete":
        return Decision("resume" if stage.resumes else "start", "interrupted before")
    if state["product"] != {file.name: digest_of(file) for file in stage.product}:
        return Decision("resume" if stage.resumes else "start", "its output was changed or deleted")
    return Decision("skip", "unchanged")


def begin(stage: Stage, out: Path, decision: Decision) -> list[str]:
    """Make room and note that the stage is running; the arguments of `solon` to run.

    Its previous output is deleted when it starts over, but for what was generated.
    """
    inputs = _inputs(stage, out)
    if decision.action == "start":
        _write_state(stage, out, status="clearing", inputs={})
        _clear(stage.output)
    _write_state(stage, out, status="running", inputs=inputs)
    command = [*stage.command, *(["--update"] if stage.updates else [])]
    if stage.config is not None:
        file = out / "configs" / f"{stage.name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(dict(stage.config), sort_keys=False, allow_unicode=True)
        file.write_text(text, encoding="utf-8")
        command += ["--config", str(file)]
    return command


def finish(stage: Stage, out: Path, *, exit_code: int, seconds: float) -> None:
    """Note that the stage is complete, with what it read and left."""
    _write_state(
        stage,
        out,
        status="complete",
        inputs=(_read_state(stage, out) or {}).get("inputs", {}),
        product={file.name: digest_of(file) for file in stage.product},
        exit_code=exit_code,
        seconds=round(seconds, 1),
    )


def is_complete(stage: Stage) -> bool:
    """Whether what the stage was to leave is there and, where it has a manifest, called complete."""
    if not all(file.is_file() for file in stage.product):
        return False
    manifest = read_manifest(stage.output)
    return manifest is None or bool(manifest.get("complete"))


class _State(BaseModel):
    """A stage's file; `product` and `exit_code` are there once it is complete."""

    model_config = ConfigDict(strict=True, extra="allow")

    status: Literal["clearing", "running", "complete"]
    inputs: dict[str, str]
    product: dict[str, str] = Field(default_factory=dict)
    exit_code: int = 0


def _read_state(stage: Stage, out: Path) -> dict[str, Any] | None:
    """None before the first run, and for a file that is not a state (it then starts over)."""
    try:
        state = read_json(out / "stages" / f"{stage.name}.json", dict)
        return _State.model_validate(state).model_dump()
    except (InputError, ValidationError):
        return None


def _write_state(stage: Stage, out: Path, **state: Any) -> None:
    file = out / "stages" / f"{stage.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomic(file, {"stage": stage.name, **state})


def _inputs(stage: Stage, out: Path) -> dict[str, str]:
    """Name to value or digest of everything that the outcome depends on. `out` itself may move."""

    def plain(value: object) -> str:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        return text.replace(str(out), "OUT")

    found = {"command": plain(" ".join(stage.command))}
    for name, value in _flat(stage.config or {}):
        if name not in stage.reads and not name.startswith(_ELSEWHERE):  # nor where a file lies
            found[name] = plain(value)
    for name, value in stage.reads.items():
        found[name] = digest_of(value) if isinstance(value, Path) else f"={value}"
    return found


def _flat(settings: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting by its key, with those of its sections before it."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Each difference, in words: settings with their values, files by name."""
    changes = []
    for name in dict.fromkeys([*now, *before]):
        was, value = before.get(name), now.get(name)
        if was == value:
            continue
        is_content = (value or was or "").startswith(("=", "sha256:"))
        short = name.removesuffix(".file").rpartition(".")[2]
        plain = f"{short}: {was or 'not given'} -> {value or 'not given'}"
        changes.append(f"{short} changed" if is_content else plain)
    return changes


def digest_of(path: Path) -> str:
    """Of a file, or of a directory's files by name and content."""
    if path.is_dir():
        inner = sorted(file for file in path.rglob("*") if file.is_file())
        listed = "".join(f"{file.relative_to(path)} {digest_of(file)}\n" for file in inner)
        return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()[:32]}"
    if not path.is_file():
        return "sha256:missing"
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"


def _clear(output: Path) -> None:
    if not output.is_dir():
        return
    for entry in output.iterdir():
        if entry.name == SHARDS and entry.is_dir():
            for shard in entry.iterdir():
                _clear(shard)
        elif not entry.name.startswith(_CACHE):
            remove(entry)
    if not any(output.iterdir()):
        output.rmdir()


_RECIPE = OutputKind("recipe", "recipe", overwrites=False)

Runner = Callable[[Stage, list[str]], int]
"""Runs `solon` with these arguments for a stage; its exit code."""


class StageFailed(Stopped):
    """A stage ended without what it was to leave; what went before stands."""

    def __init__(self, stage: Stage, code: int) -> None:
        self.exit_code = code if code in (2, EXIT_INTERRUPTED) else 1
        super().__init__(f"{stage.name} ended with exit code {code}")


def run_stages(
    recipe: Recipe,
    stages: Sequence[Stage],
    out: Path,
    run: Runner,
    report: Callable[[str], None],
    ended: Callable[[Stage, float], None] = lambda _stage, _seconds: None,
) -> int:
    """Run what has to run; 1 if some work of some stage failed, else 0.

    A stage that loads a model ends before the next one starts, so vLLM and training never share a
    process or a GPU. Killed at any moment, the same call resumes where it stood.

    `report` is given a line for each stage. Raises StageFailed, KeyboardInterrupt when a stage was
    interrupted, and InputError when `out` holds something else or another process works in it.
    """
    with OutputDirectory(out, _RECIPE, {"recipe": recipe.name}):
        ran = 0
        for stage in stages:
            decision = decide(stage, out)
            if decision.action == "skip":
                report(f"{stage.name}: unchanged, skipped")
                continue
            ran += 1
            begins = {"start": stage.does, "resume": f"resumed: {stage.does}"}
            does = begins.get(decision.action, f"{stage.does} again")
            report(f"{stage.name}: {does} ({decision.why})")
            began = time.monotonic()
            code = run(stage, begin(stage, out, decision))
            if code == EXIT_INTERRUPTED:
                raise KeyboardInterrupt
            if code not in (0, 1) or not is_complete(stage):
                raise StageFailed(stage, code)
            seconds = time.monotonic() - began
            finish(stage, out, exit_code=code, seconds=seconds)
            ended(stage, seconds)
        if not ran:
            report("nothing to do: every stage is unchanged")
        states = (_read_state(stage, out) or {} for stage in stages)
        return max(int(state.get("exit_code", 0)) for state in states)
