"""A run on a local disk, copied to a slower or shared one as it goes.

Rows are only ever appended, so a copy takes what was added since the last one; the manifest comes
last, so it never says more than the rows hold. Whoever works on the run next, here or on another
machine, goes on from the copy.
"""

import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

from constitution.problems import InputError, Problem
from constitution.reading import open_regular, read_json
from engine.runs.constitution_copy import CONSTITUTION
from engine.runs.directory import ANSWERS
from engine.runs.manifest import MANIFEST, read_manifest
from engine.storage.atomic import (
    DirectoryLock,
    full_disk_explained,
    remove,
    replacing,
    write_json_atomic,
    written_whole,
)
from engine.storage.jsonl import whole_lines

__all__ = ["SECONDS", "ScratchCopy", "forget_worker"]

SECONDS = 30.0
"""Between two copies; with the time one takes, rows are at most a minute late."""
_APPENDED = ("records.jsonl", "failures.jsonl", "escalations.jsonl")
_REPLACED = (ANSWERS, CONSTITUTION)
_CACHE = "completions.sqlite"
_CACHE_LOG = f"{_CACHE}-wal"
"""What the cache was given and does not hold yet: it belongs to that file and to no other."""
_CACHE_FILES = (_CACHE, _CACHE_LOG, f"{_CACHE}-shm")
_PREVIOUS = "previous"
_WORKER = "worker.json"
"""Whose copy it is; the same in both places while the local one is ahead."""
_BLOCK = 1 << 20


class ScratchCopy:
    """`home` is kept as a copy of `directory` for as long as the block runs (`with ...`).

    What `home` holds is put into `directory` first, unless nobody else has worked on it since
    `directory` did. Entering raises InputError while another process works on `home`; leaving
    raises OSError or InputError where the last copy fails.
    """

    def __init__(
        self,
        home: Path,
        directory: Path,
        seconds: float = SECONDS,
        on_problem: Callable[[str], None] = lambda told: None,
        *,
        cache: bool = False,
    ) -> None:
        self.home = home
        self.directory = directory
        self._seconds = seconds
        self._on_problem = on_problem
        self._cache = cache
        self._open: dict[str, BinaryIO] = {}
        """The files that are appended to, kept open so that no other can have their inode."""
        self._copied: dict[str, int] = {}
        """Bytes of them that were copied."""
        self._replaced: dict[str, tuple[int, int]] = {}
        """Size and time of the last change of the others, when they were copied."""
        self._lock = DirectoryLock(home)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._now_and_then, name="scratch-copy", daemon=True)

    def __enter__(self) -> "ScratchCopy":
        self.home.mkdir(parents=True, exist_ok=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock.__enter__()
        try:
            self._adopt()
            self._thread.start()
        except BaseException:
            self._lock.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        try:
            if self._cache:
                _copy_cache(self.directory, self.home)
            self.copy()
        finally:
            for file in self._open.values():
                file.close()
            self._lock.__exit__()

    # From home ----------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Take over what others left, and say that it is ours; a kill in between begins again."""
        with DirectoryLock(self.directory):
            theirs, ours = _worker(self.home), _worker(self.directory)
            if theirs is None or theirs != ours:
                caches = _CACHE_FILES if self._cache else ()
                for name in (_WORKER, MANIFEST, *_APPENDED, *_REPLACED, *caches):
                    remove(self.directory / name)
                if self._cache:
                    _copy_cache(self.home, self.directory)
                for name in (*_APPENDED, *_REPLACED, MANIFEST):
                    _copy_file(self.home / name, self.directory / name)
                for name in _APPENDED:
                    if file := self._opened(name):
                        self._copied[name] = file.seek(0, os.SEEK_END)
                for aside in (self.home / _PREVIOUS).glob("*"):  # their numbers are taken
                    (self.directory / _PREVIOUS / aside.name).mkdir(parents=True, exist_ok=True)
                ours = secrets.token_hex(8)
                told = {"worker": ours, "host": socket.gethostname()}
                write_json_atomic(self.directory / _WORKER, told)
                write_json_atomic(self.home / _WORKER, told)
            self._ours = ours

    # To home ------------------------------------------------------------------------------------

    def copy(self) -> None:
        """Bring `home` up to date. Raises OSError, and InputError where another worker has taken
        the run meanwhile, on a file system that knows no locks."""
        manifest = read_manifest(self.directory)
        if manifest is None or manifest.get("pending"):
            return
        if _worker(self.home) != self._ours:
            what = "another worker has taken over this shard"
            raise InputError(Problem(str(self.home), what, "leave it to that one"))
        with full_disk_explained(self.home):
            self._copy_previous()
            for name in _APPENDED:
                self._copy_appended(name)
            for name in _REPLACED:
                self._copy_replaced(name)
            write_json_atomic(self.home / MANIFEST, manifest)

    def _now_and_then(self) -> None:
        told = ""
        while not self._ended.wait(self._seconds):
            try:
                self.copy()
                told = ""
            except (OSError, InputError) as error:  # the last copy raises what is still wrong
                if not told:
                    told = f"{self.home}: not copied, and tried again ({error})"
                    self._on_problem(told)

    def _copy_previous(self) -> None:
        for aside in (self.directory / _PREVIOUS).glob("*"):
            target = self.home / _PREVIOUS / aside.name
            if (aside / MANIFEST).is_file() and not target.exists():
                with written_whole(target) as unfinished:
                    shutil.copytree(aside, unfinished, dirs_exist_ok=True)

    def _copy_appended(self, name: str) -> None:
        target, file = self.home / name, self._opened(name)
        if file is None:
            remove(target)
            return
        end, done = whole_lines(file), self._copied.pop(name, None)
        size = target.stat().st_size if target.exists() else None
        if done is not None and size == done <= end:
            with target.open("ab") as copied:
                _copy_bytes(file, copied, done, end)
                copied.flush()
                os.fsync(copied.fileno())
        else:
            with replacing(target) as copied:
                _copy_bytes(file, copied, 0, end)
        self._copied[name] = end

    def _opened(self, name: str) -> BinaryIO | None:
        """The local file of that name as it is now, None where there is none; what is known of one
        that it replaced is forgotten."""
        path, file = self.directory / name, self._open.get(name)
        if file and path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
        self._copied.pop(name, None)
        if file:
            self._open.pop(name).close()
        if path.exists():
            self._open[name] = open_regular(path)
        return self._open.get(name)

    def _copy_replaced(self, name: str) -> None:
        source, target = self.directory / name, self.home / name
        if not source.exists():
            remove(target)
            return
        found = source.stat()
        now = (found.st_size, found.st_mtime_ns)
        if now != self._replaced.get(name) or not target.exists():
            _copy_file(source, target)
            self._replaced[name] = now


def forget_worker(home: Path) -> None:
    """Say that `home` is no longer any worker's copy, before it is written to directly."""
    remove(home / _WORKER)


def _worker(directory: Path) -> object:
    file = directory / _WORKER
    return read_json(file, dict).get("worker") if file.is_file() else None


def _copy_cache(source: Path, target: Path) -> None:
    """Put the completions of one directory, if it has any, in place of those of another."""
    if (source / _CACHE).is_file():
        for name in _CACHE_FILES[1:]:
            remove(target / name)
        for name in (_CACHE, _CACHE_LOG):
            _copy_file(source / name, target / name)


def _copy_file(source: Path, target: Path) -> None:
    if source.is_file():
        with open_regular(source) as file, replacing(target) as copied:
            shutil.copyfileobj(file, copied, _BLOCK)


def _copy_bytes(source: BinaryIO, target: IO[bytes], start: int, end: int) -> None:
    source.seek(start)
    while start < end and (block := source.read(min(_BLOCK, end - start))):
        target.write(block)
        start += len(block)
