"""Bytes by key in one SQLite file: inserts are seen at once and committed in the background.

A commit costs far more than an insert, so a thread gathers them: at the latest `COMMIT_SECONDS`
after it was put, or when `COMMIT_ENTRIES` wait, an entry is in the file. A killed process loses
what was put since, and the file always opens (write-ahead log).
"""

import shutil
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from constitution.problems import InputError, Problem
from engine.storage.atomic import StorageFull

__all__ = ["COMMIT_ENTRIES", "COMMIT_SECONDS", "MAX_WAITING", "SqliteStore", "merge_stores"]

LOCK_SECONDS = 60
"""How long to wait for a process that has locked the file."""
COMMIT_SECONDS = 0.4
COMMIT_ENTRIES = 500
MAX_WAITING = 4_000
"""Entries that may wait for a commit before `put` waits too, which bounds memory."""

APPLICATION_ID = 0x50_1C_AC_4E
"""Marks the file as ours (`PRAGMA application_id`), so that no other database is written to."""
FORMAT = 2
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cache_size = -16000",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)
_MERGED_AT_ONCE = 5_000
"""Entries of a transaction, which bounds the log."""
_PAGES = 1 << 16
"""Bytes without which SQLite cannot go on: a few pages of the log and its index."""
REMEDY = "move the file aside and run again: what it held is generated again"


class SqliteStore:
    """A persistent `dict[bytes, bytes]` that never forgets an entry and never replaces one.

    Usable from several threads. A failed commit is raised by the next `put`, `flush` or `close`,
    in the thread that calls it: StorageFull when the disk is full, InputError when the file is
    damaged, cannot be read or is held by another process, `sqlite3.Error` otherwise.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = _open(path)
        self._reading = sqlite3.connect(path, check_same_thread=False, timeout=LOCK_SECONDS)
        self._waiting: dict[bytes, bytes] = {}
        self._committing: dict[bytes, bytes] = {}
        self._changed = threading.Condition()
        self._in_a_hurry = False
        self._closed = False
        self._failure: Exception | None = None
        self._writer = threading.Thread(target=self._write, name="completion-cache", daemon=True)
        self._writer.start()

    def get(self, key: bytes) -> bytes | None:
        """The value put under `key`; the order of the look-ups is the way an entry travels."""
        value = self._waiting.get(key)
        if value is None:
            value = self._committing.get(key)
        return self._stored(key) if value is None else value

    def put(self, key: bytes, value: bytes) -> None:
        """Add an entry; waits for the writer when `MAX_WAITING` others already do."""
        with self._changed:
            while len(self._waiting) >= MAX_WAITING and self._failure is None:
                self._changed.wait()
            self._check()
            self._waiting[key] = value
            if len(self._waiting) in (1, COMMIT_ENTRIES):
                self._changed.notify_all()

    def flush(self) -> None:
        """Return when everything put before is committed."""
        with self._changed:
            self._in_a_hurry = True
            self._changed.notify_all()
            while (self._waiting or self._committing) and self._failure is None:
                self._changed.wait()
            self._in_a_hurry = False
            self._check()

    def close(self) -> None:
        """Commit what waits and close the file; raises as `flush` does, but closes first."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._writer.join()
        self._reading.close()
        self._writing.close()
        if self._failure is not None:
            raise self._failure

    def _stored(self, key: bytes) -> bytes | None:
        query = "SELECT value FROM entries WHERE key = ?"
        try:
            row = self._reading.execute(query, (key,)).fetchone()
        except sqlite3.Error as error:
            raise _explained(error, self.path) from error
        return row[0] if row else None

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise ValueError(f"{self.path}: the completion cache is closed")

    def _write(self) -> None:
        while self._take():
            try:
                with self._writing:
                    self._writing.executemany(
                        "INSERT OR IGNORE INTO entries VALUES (?, ?)", self._committing.items()
                    )
            except sqlite3.Error as error:
                self._fail(error)
                return
            with self._changed:
                self._committing = {}
                self._changed.notify_all()

    def _take(self) -> bool:
        """Wait for a batch worth committing; False when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(self._is_due, timeout=COMMIT_SECONDS)
            self._committing, self._waiting = self._waiting, {}
            self._changed.notify_all()
            return bool(self._committing)

    def _is_due(self) -> bool:
        return self._closed or self._in_a_hurry or len(self._waiting) >= COMMIT_ENTRIES

    def _fail(self, error: sqlite3.Error) -> None:
        with self._changed:
            self._failure = _explained(error, self.path)
            self._failure.__cause__ = error
            self._changed.notify_all()


def merge_stores(path: Path, others: Iterable[Path]) -> int:
    """Add the entries of other files to the one at `path`, made if it is missing; how many were new.

    Raises InputError for a file that is damaged, not ours or held by another process, StorageFull
    when the disk is. What was added before stays, and merging again goes on.
    """
    with closing(_open(path)) as connection:
        for other in others:
            _open(other).close()  # is it one of ours?
            try:
                connection.execute("ATTACH ? AS other", (str(other),))
                _add_attached(connection)
                connection.execute("DETACH other")
            except sqlite3.Error as error:
                raise _explained(error, other) from error
        return connection.total_changes


def _add_attached(connection: sqlite3.Connection) -> None:
    last, end = 0, connection.execute("SELECT max(rowid) FROM other.entries").fetchone()[0] or 0
    while last < end:
        with connection:
            connection.execute(
                "INSERT OR IGNORE INTO main.entries SELECT key, value FROM other.entries "
                "WHERE rowid > ? AND rowid <= ?",
                (last, last + _MERGED_AT_ONCE),
            )
        last += _MERGED_AT_ONCE


def _open(path: Path) -> sqlite3.Connection:
    """The database, made if it is missing. Raises InputError unless it is one of ours."""
    try:
        connection = sqlite3.connect(path, check_same_thread=False, timeout=LOCK_SECONDS)
        _refuse_foreign(connection, path)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
            )
    except sqlite3.Error as error:
        raise _explained(error, path) from error
    return connection


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if owner == APPLICATION_ID and version == FORMAT:
        return
    connection.close()
    what = "is not a completion cache"
    if owner == APPLICATION_ID:
        what = f"is a completion cache of format {version}, and this version reads {FORMAT}"
    raise InputError(Problem(str(path), what, REMEDY))


def _explained(error: sqlite3.Error, path: Path) -> Exception:
    """The error as the caller can act on it."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_IOERR_WRITE:  # a quota or a limit on file sizes
        return StorageFull(path)
    match code & 0xFF:  # the low byte is the primary code
        case sqlite3.SQLITE_FULL:
            return StorageFull(path)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return InputError(Problem(str(path), f"is damaged or no database ({error})", REMEDY))
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY:
            remedy = "give a folder that exists and that you may write to"
            return InputError(Problem(str(path), f"cannot be opened for writing ({error})", remedy))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            what = f"is held by another process ({error})"
            return InputError(Problem(str(path), what, "wait for it or stop it, and run again"))
        case sqlite3.SQLITE_IOERR:
            with suppress(OSError):
                if shutil.disk_usage(path.parent).free < _PAGES:
                    return StorageFull(path)
            what = f"cannot be read or written ({error})"
            return InputError(Problem(str(path), what, "look after the disk, and run again"))
    return error
