"""Runs the stages of a recipe in order, each in a process of its own, and only those that have to.

A stage that loads a model ends before the next one starts, so vLLM and training never share a
process or a GPU. Killed at any moment, the same call resumes where it stood.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from constitution.problems import Stopped
from engine.runs.output import OutputDirectory, OutputKind
from training.recipe.schema import Recipe
from training.recipe.stage import Decision, Stage, begin, decide, exit_code_of, finish, is_complete

__all__ = ["StageFailed", "run_stages"]

INTERRUPTED = 130
_RECIPE = OutputKind("recipe", "recipe", overwrites=False)

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
    with OutputDirectory(out, _RECIPE, {"recipe": recipe.name}):
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
