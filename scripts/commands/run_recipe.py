"""`solon run`: a whole recipe, stage by stage."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands.python_option import AllowPythonChecks

if TYPE_CHECKING:
    from rich.console import Console

    from training.recipe.stage import Stage

__all__ = ["run_recipe", "run_stage"]


def run_recipe(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a shipped recipe by name.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory; by default runs/NAME.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say which stages would run and why, and stop.")
    ] = False,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Revise, train, label, train on the labels, evaluate; what has not changed is skipped."""
    from rich.console import Console

    from engine.report.wording import duration
    from scripts.commands.evaluate_table import print_results
    from scripts.commands.terminal import output_console
    from training.evaluation.results import read_results
    from training.recipe.plan import stages_of
    from training.recipe.schema import load_recipe
    from training.recipe.stage import run_stages

    loaded, file = load_recipe(recipe)
    out = out or Path("runs") / loaded.name
    stages = stages_of(loaded, file, out)
    console = Console(stderr=True, highlight=False)
    if plan:
        _print_plan(stages, out, console)
        return
    console.print(f"{loaded.name} -> {out}", markup=False)
    ran = []

    def ended(stage: "Stage", seconds: float) -> None:
        ran.append(stage.name)
        console.print(f"{stage.name}: done in {duration(seconds)}")

    def report(line: str) -> None:
        console.print(line, style="bold", markup=False)

    try:
        code = run_stages(loaded, stages, out, run_stage, report, ended)
    except KeyboardInterrupt:
        console.print("interrupted: the same command resumes")
        raise typer.Exit(130) from None
    if "evaluate" not in ran:  # it shows its table itself
        print_results(read_results(out / "evaluate"), output_console())
    raise typer.Exit(code)


def _print_plan(stages: "list[Stage]", out: Path, console: "Console") -> None:
    from training.recipe.stage import decide

    certain = True
    for stage in stages:
        decision = decide(stage, out)
        certain = certain and decision.action == "skip"
        why = decision.why
        if decision.action == "skip" and not certain:
            why = "unchanged so far; the stages above may change what it reads"
        console.print(f"{stage.name}: {decision.action} ({why})", markup=False)


_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def run_stage(stage: "Stage", arguments: list[str]) -> int:
    """Run `solon ARGUMENTS`, under accelerate where the stage asks for it; its exit code.

    The process is in a group of its own: Ctrl-C is passed on, so that it comes once. It does not
    outlive this process.
    """
    import ctypes

    def end_with_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)

    launcher = [sys.executable, "-m"]
    if stage.accelerate:
        launcher += ["accelerate.commands.launch", "--config_file", str(stage.accelerate), "-m"]
    command = [*launcher, "scripts.solon", *arguments]
    with (
        subprocess.Popen(command, process_group=0, preexec_fn=end_with_parent) as process,
        _signals_passed_on(process),
    ):
        code = process.wait()
    return 128 - code if code < 0 else code


@contextmanager
def _signals_passed_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        if process.poll() is None:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
