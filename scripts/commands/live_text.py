"""What a role is writing, on a terminal, while it writes."""

from rich.console import Console
from rich.live import Live
from rich.text import Text

from engine.report.wording import visible

__all__ = ["LiveText"]

_TAIL = 600
"""Characters of a text being written that are shown."""


class LiveText:
    """The end of what a role is writing, on a terminal, gone once it is finished."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, transient=True, refresh_per_second=10)
        self._shown = False

    def __call__(self, role: str, text: str) -> None:
        """Show `text` so far."""
        if not self._shown:
            self._live.start()
            self._shown = True
        self._live.update(Text(f"{role}: {visible(text[-_TAIL:])}", "dim"))

    def stop(self) -> None:
        """Take it off the terminal."""
        if self._shown:
            self._live.stop()
            self._shown = False
