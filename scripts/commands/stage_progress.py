"""How far the stages of an evaluation are: a live bar on a terminal, lines in a log."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from engine.report.wording import duration

__all__ = ["StageProgress"]

_EVERY = 10.0
"""Seconds between lines in a log."""
_SURE = 0.05
"""The share that must be done before the rest can be foreseen."""


class StageProgress:
    """Called with what is being done, how much of it is done, and all of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[left]}", style="dim"),
        )
        self._bar = Progress(*columns, console=console, transient=True)
        self._shown = None if not console.is_terminal else self._bar.add_task("", total=1, left="")
        self._what = ""
        self._began = self._last = 0.0
        self._first: tuple[float, int] | None = None
        """When the first answers had come, and how many: before that the model was loaded."""

    def __enter__(self) -> "StageProgress":
        if self._shown is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_stage(finished=kind is None)
        if self._shown is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show it; a stage ends when another one begins."""
        now = time.monotonic()
        if what != self._what:
            self._end_stage(finished=True)
            self._what, self._began, self._last, self._first = what, now, now, None
        left = self._left(now, done, total)
        if self._shown is not None:
            self._bar.update(
                self._shown, description=what, completed=done, total=max(1, total), left=left
            )
        elif now - self._last >= _EVERY and done < total:
            self._last = now
            self._console.print(f"{what}: {done:,}/{total:,} {left}", soft_wrap=True)

    def _left(self, now: float, done: int, total: int) -> str:
        if self._first is None:
            if done:
                self._first = (now, done)
            return ""
        since, before = self._first
        if done - before < _SURE * total:
            return ""
        return f"left {duration((now - since) / (done - before) * (total - done))}"

    def _end_stage(self, *, finished: bool) -> None:
        if self._what and finished:
            took = duration(time.monotonic() - self._began)
            self._console.print(f"{self._what}: done in {took}", soft_wrap=True)
        self._what = ""
