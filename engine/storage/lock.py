"""One writer at a time: a lock on a directory that ends with its process."""

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO

from constitution.problems import InputError, Problem
from engine.storage.atomic import full_disk_explained

__all__ = ["DirectoryLock"]


class DirectoryLock:
    """Held while one process writes to a run directory (`with DirectoryLock(run): ...`).

    The system drops it when the process ends, however it ends. The file `lock` stays and says who
    holds it. Entering raises InputError when another process does, StorageFull when
    the disk is full.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file: IO[str] | None = None

    def __enter__(self) -> "DirectoryLock":
        file = (self.directory / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            what = f"another process ({holder}) is writing to {self.directory}"
            remedy = "wait for it or stop it"
            raise InputError(Problem(str(self.directory), what, remedy)) from error
        self._file = file
        try:
            with full_disk_explained(self.directory):
                file.truncate(0)
                file.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
                file.flush()
        except OSError:
            self._let_go()
            raise
        os.register_at_fork(after_in_child=self._let_go)
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.truncate(0)
        self._let_go()

    def _let_go(self) -> None:
        """Also in a forked child: an orphaned worker must not hold a killed run's lock."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()
