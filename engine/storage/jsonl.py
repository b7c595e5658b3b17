"""JSON lines that survive a kill: appended by one process, read by any."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, open_regular, parse_json
from engine.storage.atomic import full_disk_explained

__all__ = [
    "JsonlStore",
    "json_line",
    "lines_of",
    "numbered_jsonl",
    "read_jsonl",
    "whole_lines",
]

SYNC_SECONDS = 1.0
_BLOCK = 1 << 16


class JsonlStore:
    """An append-only file of JSON objects, one a line, for the one process that writes it.

    Each `append` is one write to the operating system: killing this process right after loses
    nothing. What a crash of the machine may lose is bounded by `sync`. A line that an earlier
    process could not finish is cut off when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _repair_tail(path)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._synced_size = self._size
        self._synced_at = time.monotonic()

    def append(self, row: Mapping[str, Any] | str) -> None:
        """Add one object, or one that is JSON already. Raises StorageFull, leaving no torn line."""
        text = row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
        if "\n" in text:
            raise ValueError(f"{self.path}: one JSON object to a line: {text[:80]!r}")
        # Half a surrogate pair can only stand in a string, where \ud800 is its JSON escape.
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        try:
            with full_disk_explained(self.path):
                rest = memoryview(line)
                while rest:  # a nearly full disk takes a part; writing the rest then raises
                    rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(line)

    def sync(self, *, now: bool = False) -> None:
        """Force what was appended onto the disk, at most once a second unless `now`."""
        due = now or time.monotonic() - self._synced_at >= SYNC_SECONDS
        if due and self._size > self._synced_size:
            with full_disk_explained(self.path):
                os.fsync(self._file.fileno())
            self._synced_size, self._synced_at = self._size, time.monotonic()

    def check_intact(self) -> None:
        """Raise InputError where the file is not what was written: deleted, replaced or cut."""
        found = self.path.stat() if self.path.exists() else None
        ours = found is not None and os.path.samestat(found, os.fstat(self._file.fileno()))
        if found is None or not ours or found.st_size != self._size:
            what = "was deleted or changed by something else while it was being written"
            remedy = "run the same command again: what is missing is written again"
            raise InputError(Problem(str(self.path), what, remedy))

    def close(self) -> None:
        """Sync and close."""
        if not self._file.closed:
            self.sync(now=True)
            self._file.close()

    def __enter__(self) -> "JsonlStore":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def json_line(row: Mapping[str, Any]) -> bytes:
    """One object as a line of its own."""
    # Half a surrogate pair can only stand in a string, where \ud800 is its JSON escape.
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """Stream the objects of a file that may still be written to: an unfinished last line is not
    read. Raises InputError with `file:line` at a broken one."""
    return (row for _, row in numbered_jsonl(path))


def numbered_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """`read_jsonl` with each object's line, counted from 1; empty lines are passed over."""
    return ((number, row) for number, _, row in lines_of(path))


def lines_of(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """`numbered_jsonl` with the line as it stands in the file, its line break included."""
    with open_regular(path) as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") or not line.strip():
                continue
            try:
                row, why = parse_json(line), "it is another value"
            except NotJson as error:
                row, why = None, str(error)
            if not isinstance(row, dict):
                what = f"is not one JSON object ({why})"
                remedy = "restore the line or delete it: the run then makes it again"
                raise InputError(Problem(f"{path}:{number}", what, remedy))
            yield number, line, row


def whole_lines(file: BinaryIO) -> int:
    """Bytes of a file up to its last line break, that one included."""
    end = file.seek(0, os.SEEK_END)
    return end - len(_after_last_line_break(file, end))


def _repair_tail(path: Path) -> None:
    """Cut off an unfinished last line; one that only lacks its line break is given it."""
    with path.open("ab+") as file:
        end = file.tell()
        tail = _after_last_line_break(file, end)
        whole = False
        with suppress(ValueError):
            whole = isinstance(parse_json(tail), dict)
        if whole:
            file.write(b"\n")
        elif tail:
            file.truncate(end - len(tail))


def _after_last_line_break(file: IO[bytes], end: int) -> bytes:
    blocks: list[bytes] = []
    while end > 0 and not (blocks and b"\n" in blocks[-1]):
        start = max(0, end - _BLOCK)
        file.seek(start)
        blocks.append(file.read(end - start))
        end = start
    return b"".join(reversed(blocks)).rpartition(b"\n")[2]
