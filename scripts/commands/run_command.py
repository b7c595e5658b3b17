"""A run on a terminal: its start, its progress and its end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from constitution.problems import InputError, Problem
from engine.report.wording import duration
from engine.runs.output import Mode
from engine.runs.plan import remember_throughput
from engine.runs.run import Progress, Run
from scripts.commands.terminal import EXIT_INTERRUPTED, run_interruptibly

__all__ = ["execute_run", "run_mode"]

_EVERY, _SELDOMEST = 5.0, 60.0
"""Seconds between lines in a log, more as the run goes on: a tenth of its age."""
_EVERY_WHILE_STARTING = 20.0


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
                async with _shown_progress(console, run.progress):
                    await run.execute()
                model, now = run.models["policy"].generator, run.progress()
                remember_throughput(model.fingerprint, now.counts.completion_tokens, now.seconds)
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


@contextlib.asynccontextmanager
async def _shown_progress(
    console: Console, progress: Callable[[], Progress]
) -> AsyncIterator[None]:
    """Show `progress()` until the block ends."""
    show = _live if console.is_terminal else _lines
    task = asyncio.ensure_future(show(console, progress))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _live(console: Console, progress: Callable[[], Progress]) -> None:
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} conversations"),
        TextColumn("{task.fields[figures]}", style="dim"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        now = progress()
        shown = bar.add_task("", total=now.total, completed=now.done, figures=_figures(now))
        while True:
            await asyncio.sleep(0.25)
            now = progress()
            bar.update(shown, completed=now.done, figures=_figures(now))


async def _lines(console: Console, progress: Callable[[], Progress]) -> None:
    began = last = time.monotonic()
    while True:
        await asyncio.sleep(0.5)
        now, clock = progress(), time.monotonic()
        pause = min(_SELDOMEST, max(_EVERY, (clock - began) / 10))
        if clock - last < (pause if now.started else _EVERY_WHILE_STARTING):
            continue
        last = clock
        line = f"{duration(clock - began)}: {now.done:,}/{now.total:,} conversations"
        console.print(f"{line} | {_figures(now)}", soft_wrap=True)


def _figures(now: Progress) -> str:
    if not now.started:
        return f"starting the model ({duration(now.starting)})"
    pace = now.counts.completion_tokens / now.seconds if now.seconds else 0.0
    dropped = now.totals.get("dropped", 0) + now.totals.get("failed", 0)
    return (
        f"{pace:,.0f} tok/s | KV prefix {now.counts.prefix_share or 0:.0%} | "
        f"reused {now.counts.cached_share or 0:.0%} | dropped {dropped:,} | left {duration(now.seconds_left)}"
    )
