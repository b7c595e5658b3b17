"""One stage of a recipe in a process of its own, which an interrupt reaches once and in order."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.recipe.stage import Stage

__all__ = ["run_stage"]

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def run_stage(stage: Stage, arguments: list[str]) -> int:
    """Run `solon ARGUMENTS`, under accelerate where the stage asks for it; its exit code.

    The process is in a group of its own: Ctrl-C is passed on, so that it comes once. It does not
    outlive this process.
    """
    launcher = [sys.executable, "-m"]
    if stage.accelerate:
        launcher += ["accelerate.commands.launch", "--config_file", str(stage.accelerate), "-m"]
    command = [*launcher, "scripts.solon", *arguments]
    with (
        subprocess.Popen(command, process_group=0, preexec_fn=_end_with_parent) as process,
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


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
