"""What `solon revise` and `solon label` share: a run from its start to its end."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from constitution.problems import InputError, Problem
from engine.runs.output import Mode
from engine.runs.run import Run
from engine.runs.throughput import remember_throughput
from scripts.commands.progress_display import shown_progress
from scripts.commands.terminal import EXIT_INTERRUPTED, run_interruptibly

__all__ = ["execute_run", "run_mode"]


def run_mode(*, update: bool, overwrite: bool) -> Mode:
    """How to treat what --out holds already."""
    if update and overwrite:
        remedy = "--update keeps the previous records, --overwrite discards them"
        raise InputError(Problem("--update --overwrite", "exclude each other", remedy))
    return "update" if update else "overwrite" if overwrite else "resume"


def execute_run(run: Run[Any], console: Console, sum_up: Callable[[], int]) -> int:
    """Take the run to its end and have it summed up; the exit code, which is `sum_up`'s unless the
    run was interrupted."""
    if run.complete:
        console.print(f"{run.directory.path}: every conversation is finished; nothing to do")
    elif run.progress().resumed:
        done, total = run.progress().done, run.progress().total
        console.print(f"resuming {run.directory.path}: {done:,} of {total:,} are finished")

    async def work() -> None:
        try:
            if not run.complete:
                async with shown_progress(console, run.progress):
                    await run.execute()
                remember_throughput(run.models["policy"].generator.fingerprint, run.progress())
        finally:
            await run.close()

    try:
        run_interruptibly(work(), lambda: console.print("stopping: finished work is on disk"))
    except KeyboardInterrupt:
        now = run.progress()
        left = f"{now.done:,} of {now.total:,} conversations are finished"
        console.print(f"interrupted: {left}; the same command resumes")
        return EXIT_INTERRUPTED
    return sum_up()
