"""A run's progress: a live bar on a terminal, one line every few seconds in a log."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from engine.report.wording import duration
from engine.runs.run import Progress

__all__ = ["shown_progress"]

_EVERY, _SELDOMEST = 5.0, 60.0
"""Seconds between lines in a log, more as the run goes on: a tenth of its age."""
_EVERY_WHILE_STARTING = 20.0


def _figures(now: Progress) -> str:
    if not now.started:
        return f"starting the model ({duration(now.starting)})"
    served = now.cached_requests / now.requests if now.requests else 0.0
    prefix = now.kv_cached_tokens / now.prompt_tokens if now.prompt_tokens else 0.0
    pace = now.generated_tokens / now.seconds if now.seconds else 0.0
    dropped = now.totals.get("dropped", 0) + now.totals.get("failed", 0)
    return (
        f"{pace:,.0f} tok/s | KV prefix {prefix:.0%} | reused {served:.0%} | "
        f"dropped {dropped:,} | left {duration(now.seconds_left)}"
    )


@contextlib.asynccontextmanager
async def shown_progress(console: Console, progress: Callable[[], Progress]) -> AsyncIterator[None]:
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
