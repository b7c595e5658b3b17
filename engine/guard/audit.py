"""What the guard did, in an append-only log whose lines are chained by their hashes.

    audit/2026-11-26.jsonl  audit/head.json

A line holds the hash of the one before it, so that one that was removed, added or changed breaks the
chain. The last line has none after it: `head.json` names one now and then, and its hash is told to
whoever asks, to be kept elsewhere.
"""

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from engine.guard.redaction import Redactor
from engine.storage.atomic import write_json_atomic
from engine.storage.jsonl import JsonlStore, lines_of, read_jsonl

__all__ = ["AuditLog", "Chain", "Head", "day_files", "rows_since", "verify_chain"]

_AUDIT = "audit"
_HEAD = "head.json"
_HEAD_SECONDS = 5.0
_DAYS = "[0-9]" * 4 + "-[0-9][0-9]-[0-9][0-9].jsonl"


@dataclass(frozen=True, slots=True)
class Head:
    """The last line: its number, counted from 1, and its hash; 0 and empty before the first."""

    number: int = 0
    hash: str = ""

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class AuditLog:
    """The log in a guard's directory, for the one process that writes it.

    A line is in the hands of the operating system when `append` returns. Days older than
    `retention_days` are deleted, which is itself a line. Raises InputError for a log that is damaged.
    """

    def __init__(
        self,
        directory: Path,
        redactor: Redactor,
        *,
        retention_days: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory = directory
        (directory / _AUDIT).mkdir(parents=True, exist_ok=True)
        self._redactor = redactor
        self._retention = retention_days
        self._clock = clock
        self._day = clock().date()
        self._store = JsonlStore(self._segment(self._day))
        self.head = _last_head(day_files(self._directory))
        self._head_at = time.monotonic()
        self._drop_old()

    def append(self, event: str, facts: Mapping[str, Any]) -> None:
        """Add a line, redacted. Raises StorageFull, leaving the chain as it was."""
        now = self._clock()
        if now.date() > self._day:
            self._turn_to(now.date())
        self._add(now, event, facts)
        self._store.sync()
        if time.monotonic() - self._head_at >= _HEAD_SECONDS:
            self._keep_head()

    def close(self) -> None:
        """Sync, and keep the head."""
        self._store.close()
        self._keep_head()

    def _add(self, now: datetime, event: str, facts: Mapping[str, Any]) -> None:
        row = self._redactor.value({
            "at": now.isoformat(timespec="milliseconds"),
            "event": event,
            **facts,
        })
        row |= {"number": self.head.number + 1, "previous": self.head.hash}
        row["hash"] = _hash(row)
        self._store.append(row)
        self.head = Head(row["number"], row["hash"])

    def _segment(self, day: date) -> Path:
        return self._directory / _AUDIT / f"{day.isoformat()}.jsonl"

    def _turn_to(self, day: date) -> None:
        self._store.close()
        self._day, self._store = day, JsonlStore(self._segment(day))
        self._drop_old()

    def _drop_old(self) -> None:
        if self._retention is None:
            return
        first = self._segment(self._day - timedelta(days=self._retention)).name
        old = [path for path in day_files(self._directory) if path.name < first]
        if not old:
            return
        kept = {"removed": [path.name for path in old], "until": str(_last_head(old))}
        self._add(self._clock(), "retention", kept)
        self._store.sync(now=True)
        for path in old:
            path.unlink()

    def _keep_head(self) -> None:
        head = {"number": self.head.number, "hash": self.head.hash}
        write_json_atomic(self._directory / _AUDIT / _HEAD, head)
        self._head_at = time.monotonic()


@dataclass(slots=True)
class Chain:
    """What `verify_chain` found: how many lines, the last of them, and what is wrong."""

    lines: int = 0
    head: Head = Head()
    problems: list[Problem] = field(default_factory=list)


def verify_chain(directory: Path, known: Head | None = None) -> Chain:
    """Read a guard's whole log, and find what was removed, added or changed in it.

    `known` is a head that was kept elsewhere: who writes the log anew writes `head.json` anew too.
    Lines after the last head that is known may be cut off unseen. Raises InputError where there is
    no log, or one that cannot be read.
    """
    audit = directory / _AUDIT
    segments = day_files(directory)
    if not segments:
        raise InputError(Problem(str(audit), "holds no log", "name a directory of `solon serve`"))
    chain, retained = Chain(), {str(Head())}
    before: Head | None = None
    kept = {head for head in (known, _kept_head(audit)) if head is not None}
    for segment in segments:
        for number, _, row in lines_of(segment):
            where, head = f"{segment}:{number}", _head_of(row, segment)
            before = before or Head(head.number - 1, str(row["previous"]))
            chain.problems += _wrong(row, where, chain.head if chain.lines else before)
            if row.get("event") == "retention":
                retained.add(str(row.get("until")))
            read = {head} if chain.lines else {before, head}
            if any(one.number == other.number and one != other for one in kept for other in read):
                chain.problems.append(Problem(where, "is another line than the one written"))
            chain.lines, chain.head = chain.lines + 1, head
    if before and str(before) not in retained:
        what = f"begins with line {before.number + 1}: those before it were removed"
        chain.problems.insert(0, Problem(str(segments[0]), what))
    chain.problems += [
        Problem(str(segments[-1]), f"ends before line {number}: lines were cut off")
        for number in sorted({head.number for head in kept})
        if number > chain.head.number
    ]
    return chain


def rows_since(directory: Path, seconds: float) -> Iterator[dict[str, Any]]:
    """Lines of today and of the days that may be so recent, oldest first."""
    first = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    for segment in day_files(directory):
        if segment.stem >= first[:10]:
            yield from (row for row in read_jsonl(segment) if str(row.get("at")) >= first)


def _wrong(row: Mapping[str, Any], where: str, before: Head) -> Iterator[Problem]:
    if row["hash"] != _hash({key: value for key, value in row.items() if key != "hash"}):
        yield Problem(where, "was changed after it was written")
    if (row["previous"], row["number"]) != (before.hash, before.number + 1):
        what = f"is line {row['number']} and follows line {before.number}"
        yield Problem(where, f"{what}: a line between them was removed, added or changed")


def _hash(row: Mapping[str, Any]) -> str:
    text = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def day_files(directory: Path) -> list[Path]:
    """The files of the log in a guard's directory, one of each day, in order."""
    audit = directory / _AUDIT
    return sorted(audit.glob(_DAYS)) if audit.is_dir() else []


def _last_head(segments: list[Path]) -> Head:
    """That of the last line in any of them; a line that was never finished is none."""
    for segment in reversed(segments):
        if last := deque(read_jsonl(segment), maxlen=1):
            return _head_of(last[0], segment)
    return Head()


def _head_of(row: Mapping[str, Any], segment: Path) -> Head:
    number, hashed = row.get("number"), row.get("hash")
    if not isinstance(number, int) or not isinstance(hashed, str) or "previous" not in row:
        what = "holds a line that is not of this log"
        raise InputError(Problem(str(segment), what, "restore the file from a copy"))
    return Head(number, hashed)


def _kept_head(audit: Path) -> Head | None:
    file = audit / _HEAD
    if not file.exists():
        return None
    found = read_json(file, dict)
    number, hashed = found.get("number"), found.get("hash")
    return Head(number, hashed) if isinstance(number, int) and isinstance(hashed, str) else None
