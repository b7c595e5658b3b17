"""Runs the stages of a recipe in order, each in a process of its own, and only those that have to.

A stage that loads a model ends before the next one starts, so vLLM and training never share a
process or a GPU. Killed at any moment, the same call goes on where it stood.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from constitution.problems import InputError, Problem, Stopped
from engine.storage.jsonl import DirectoryLock, write_json_atomic
from training.recipe.schema import Recipe
from training.recipe.stage import Decision, Stage, begin, decide, exit_code_of, finish, is_complete

__all__ = ["StageFailed", "run_stages"]

INTERRUPTED = 130
_MARKER = "recipe.json"

Runner = Callable[[Stage, list[str]], int]
"""Runs `solon` with these arguments for a stage; its exit code."""


class StageFailed(Stopped):
    """A stage ended without what it was to leave; what went before stands."""

    def __init__(self, stage: Stage, code: int) -> None:
        self.exit_code = code if code in (2, INTERRUPTED) else 1
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

    `report` is given a line for each stage. Raises StageFailed, KeyboardInterrupt when a stage was
    interrupted, and InputError when `out` holds something else or another process works in it.
    """
    _take(out, recipe)
    with DirectoryLock(out):
        ran = 0
        for stage in stages:
            decision = decide(stage, out)
            if decision.action == "skip":
                report(f"{stage.name}: unchanged, skipped")
                continue
            ran += 1
            report(_announcement(stage, decision))
            began = time.monotonic()
            code = run(stage, begin(stage, out, decision))
            if code == INTERRUPTED:
                raise KeyboardInterrupt
            if code not in (0, 1) or not is_complete(stage):
                raise StageFailed(stage, code)
            seconds = time.monotonic() - began
            finish(stage, out, exit_code=code, seconds=seconds)
            ended(stage, seconds)
        if not ran:
            report("nothing to do: every stage is unchanged")
        return max(exit_code_of(stage, out) for stage in stages)


def _announcement(stage: Stage, decision: Decision) -> str:
    does = {
        "start": stage.does,
        "resume": f"resumed: {stage.does}",
        "update": f"{stage.does} again",
    }
    return f"{stage.name}: {does[decision.action]} ({decision.why})"


def _take(out: Path, recipe: Recipe) -> None:
    """Make `out` this recipe's. Raises InputError when it is anything else's."""
    marker = out / _MARKER
    if marker.is_file():
        name = json.loads(marker.read_bytes()).get("recipe")
        if name != recipe.name:
            remedy = "name another directory with --out"
            raise InputError(Problem(str(out), f"holds the recipe `{name}`", remedy))
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        what = "is not empty and holds no recipe" if out.is_dir() else "is a file"
        raise InputError(Problem(str(out), what, "name another directory with --out"))
    out.mkdir(parents=True, exist_ok=True)
    write_json_atomic(marker, {"recipe": recipe.name})
