"""What commands share on a terminal: consoles that show text as it is, tables, signals."""

import asyncio
import os
import signal
import sys
import weakref
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from constitution.problems import EXIT_INTERRUPTED, visible

if TYPE_CHECKING:
    from engine.shares import Estimate

__all__ = [
    "counted",
    "error_console",
    "fastest_loop",
    "figures_table",
    "interval",
    "output_console",
    "run_interruptibly",
]

_GRACE = 8.0
"""Seconds an interrupted command may take to stop its engines before they are killed."""

Result = TypeVar("Result")


def counted(count: int, noun: str) -> str:
    """`1 principle`, `2 principles`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def error_console() -> Console:
    """A console on a duplicate of standard error: what an engine's children print while they start
    is sent to a log, and this stays on the terminal."""
    stream = os.fdopen(
        os.dup(sys.stderr.fileno()),
        "w",
        encoding=sys.stderr.encoding,
        errors="backslashreplace",
        buffering=1,
    )
    console = _PlainConsole(file=stream, markup=False, emoji=False, highlight=False)
    weakref.finalize(console, stream.close)
    return console


def output_console() -> Console:
    """A console on standard output."""
    return _PlainConsole(markup=False, emoji=False, highlight=False)


def figures_table(first: str, *numbers: str, title: str | Text | None = None) -> Table:
    """An empty table: names in its first column, which may fold, and figures in the others."""
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def interval(
    found: "Estimate | None", written: Callable[[float], str] = lambda share: f"{share:.0%}"
) -> str:
    """A figure and its 95 % interval in brackets; a dash where nothing was measured."""
    if found is None:
        return "–"
    if not found.bounded:
        return f"{written(found.value)} [not enough to say]"
    return f"{written(found.value)} [{written(found.low)}, {written(found.high)}]"


class _PlainConsole(Console):
    """Shows texts as they are: names and paths hold no markup, and the characters in them that
    would steer the terminal are spelled out."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)


def run_interruptibly(
    work: Coroutine[Any, Any, Result], on_interrupt: Callable[[], None]
) -> Result:
    """Run `work` to its end; SIGINT and SIGTERM cancel it, and KeyboardInterrupt is raised.

    `on_interrupt` is called at the first signal. A second signal, or `_GRACE` seconds, ends the
    process without waiting for engines; everything finished is on disk by then.
    """

    async def watched() -> Result:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        signalled = False

        def stop() -> None:
            nonlocal signalled
            if signalled:
                _abandon()
            signalled = True
            on_interrupt()
            loop.call_later(_GRACE, _abandon)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        try:
            return await task
        except BaseException:
            if signalled:
                raise KeyboardInterrupt from None
            raise

    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(watched())


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: a request to a server then costs a fifth less."""
    try:
        import uvloop
    except ImportError:
        return None
    found: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return found


def _abandon() -> None:
    from engine.generators.background import kill_descendants

    kill_descendants()
    os._exit(EXIT_INTERRUPTED)
