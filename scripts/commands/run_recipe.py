"""`solon run`: a whole recipe, stage by stage."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands.permission_options import (
    AllowGeneratedCode,
    AllowKeys,
    AllowPush,
    AllowPythonChecks,
    AllowRemoteCode,
)
from scripts.commands.resources import OnGpu, Price, refuse_without_plan

if TYPE_CHECKING:
    from rich.console import Console

    from training.recipe.outbound import Outbound
    from training.recipe.schema import Recipe
    from training.recipe.stage import Stage

__all__ = ["print_outbound", "run_recipe", "run_stage"]


def run_recipe(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a shipped recipe by name.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory; by default runs/NAME.")
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Say which stages would run and why, whom they talk to, and what they take of GPUs; "
            "and stop.",
        ),
    ] = False,
    gpu: OnGpu = None,
    price: Price = None,
    allow_python_checks: AllowPythonChecks = False,
    allow_remote_code: AllowRemoteCode = False,
    allow_generated_code: AllowGeneratedCode = False,
    allow_keys: AllowKeys = None,
    allow_push: AllowPush = False,
) -> None:
    """Revise, train, label, train on the labels, evaluate; what has not changed is skipped.

    --plan exits 2 where a stage does not fit the GPUs here, or those of --gpu.
    """
    from rich.console import Console

    from engine.report.tracking import check_tracker
    from training.recipe.outbound import outbound, refuse_unpermitted
    from training.recipe.plan import stages_of
    from training.recipe.schema import load_recipe

    refuse_without_plan(plan, gpu, price)
    loaded, file = load_recipe(recipe)
    out = out or Path("runs") / loaded.name
    sent, console = outbound(loaded, file), Console(stderr=True, highlight=False)
    if plan:
        print_outbound(sent, console)
        to_run = _print_plan(stages_of(loaded, file, out), out, console)
        _print_resources(loaded, file, out, to_run, gpu, price, console)
        return
    check_tracker(loaded.report_to, f"{file}: report_to")
    refuse_unpermitted(loaded, file, sent)
    stages = stages_of(loaded, file, out)
    console.print(f"{loaded.name} -> {out}", markup=False)
    _ask_servers(loaded, file, stages, out)
    raise typer.Exit(_run(loaded, stages, out, console))


def _run(loaded: "Recipe", stages: "list[Stage]", out: Path, console: "Console") -> int:
    """Run what has to run and show the table; the exit code."""
    from constitution.problems import EXIT_INTERRUPTED
    from engine.report.wording import duration
    from scripts.commands.evaluate_table import print_results
    from scripts.commands.terminal import output_console
    from training.evaluation.results import read_results
    from training.recipe.stage import run_stages

    ran = []

    def ended(stage: "Stage", seconds: float) -> None:
        ran.append(stage.name)
        console.print(f"{stage.name}: done in {duration(seconds)}")

    def report(line: str) -> None:
        _plain(console, line, style="bold")

    try:
        code = run_stages(loaded, stages, out, run_stage, report, ended)
    except KeyboardInterrupt:
        console.print("interrupted: the same command resumes")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if "evaluate" not in ran:  # it shows its table itself
        print_results(read_results(out / "evaluate"), output_console())
    return code


def _ask_servers(loaded: "Recipe", file: Path, stages: "list[Stage]", out: Path) -> None:
    """Before a stage runs. Raises GeneratorUnavailable for a server that cannot do its job."""
    import asyncio
    from functools import partial

    from scripts.commands.models_table import print_facts
    from scripts.commands.terminal import error_console
    from training.recipe.preflight import preflight_of_recipe
    from training.recipe.stage import decide

    if any(decide(stage, out).action != "skip" for stage in stages):
        preflight = preflight_of_recipe(loaded, file)
        preflight.on_found = partial(print_facts, error_console())
        asyncio.run(preflight.passed())


def _print_plan(stages: "list[Stage]", out: Path, console: "Console") -> set[str]:
    """A line for each stage; the names of those that may have to run."""
    from training.recipe.stage import decide

    certain, to_run = True, set()
    for stage in stages:
        decision = decide(stage, out)
        certain = certain and decision.action == "skip"
        why = decision.why
        if decision.action == "skip" and not certain:
            why = "unchanged so far; the stages above may change what it reads"
        if not certain:
            to_run.add(stage.name)
        _plain(console, f"{stage.name}: {decision.action} ({why})")
    return to_run


def _print_resources(
    loaded: "Recipe",
    file: Path,
    out: Path,
    to_run: set[str],
    gpu: str | None,
    price: float | None,
    console: "Console",
) -> None:
    """What the stages take of GPUs. Raises InputError for those that do not fit."""
    from engine.sizing.sized import Sizes
    from scripts.commands.resources import machine_to_plan_for, print_resources
    from training.recipe.resources import Resources

    machine, sizes = machine_to_plan_for(gpu), Sizes(ask_hub=gpu is not None)
    resources = Resources(loaded, file, out, sizes, machine)
    found = resources.of(to_run)
    print_resources(found, sizes, machine, price, lambda line: _plain(console, line))


def print_outbound(sent: "Outbound", console: "Console") -> None:
    """A line for each host, each permission that is needed, and each file outside the folder."""
    from constitution.permissions import is_allowed

    for contact in sent.contacts:
        keys = ", ".join(contact.keys) or "no key"
        told = f"{', '.join(contact.settings)}; sends {keys}"
        _plain(console, f"talks to {contact.host} ({told})")
    if not sent.contacts:
        _plain(console, "talks to no other machine")
    for need in sent.needs:
        state = "given" if is_allowed(need.permission) else "needed"
        at = ".".join(map(str, need.at))
        _plain(console, f"{at} {need.what} ({need.permission} is {state})")
    for path in sent.files:
        _plain(console, f"reads {path}, outside the recipe's folder")


_LOGIN = re.compile(r"(?<=//)[^/@\s]*@")
"""USER:PASSWORD@ of a URL."""


def _plain(console: "Console", line: str, style: str | None = None) -> None:
    from constitution.problems import visible

    console.print(visible(_LOGIN.sub("", line)), style=style, markup=False, soft_wrap=True)


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
