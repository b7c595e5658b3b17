"""Slow, blocking work outside the event loop, in a thread that an interrupted program can leave."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

__all__ = ["in_daemon_thread", "kill_descendants", "quiet_descriptors"]

Result = TypeVar("Result")


async def in_daemon_thread(function: Callable[[], Result]) -> Result:
    """The result of `function`, run in a daemon thread.

    The loop's own executor is joined when the program ends, so loading a model there would hold
    an interrupted program for as long as loading takes.
    """
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()  # so that cancelling the caller leaves it alone

    def work() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001  it is raised again in the caller
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(future)


@contextlib.contextmanager
def quiet_descriptors(log: Path) -> Iterator[None]:
    """Send what this process and the children it starts print to the end of a log file.

    Children started meanwhile keep writing there. A console that shall stay on the terminal holds
    a duplicate of its descriptor.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    saved = os.dup(1), os.dup(2)
    try:
        os.dup2(file, 1)
        os.dup2(file, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (file, *saved):
            os.close(descriptor)


def kill_descendants() -> bool:
    """Kill this process's children and theirs, at once; whether there were any."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    doomed = list(parents.get(os.getpid(), ()))
    for pid in doomed:
        doomed += parents.get(pid, ())
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return bool(doomed)
