"""The kill switch: every answer becomes the fallback, until a person closes it again.

What it is in is on disk before any answer follows from it, so a killed server starts as it was.
"""

import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from constitution.schema import Severity
from engine.storage.atomic import write_json_atomic

__all__ = ["STOP_FILE", "Breaker", "BreakerRule", "BreakerRules", "read_rules"]

STOP_FILE = "STOP"
"""In the guard's directory: while it is there, nothing is answered."""
_RULE = re.compile(
    r"\A\s*(low|medium|high|critical)\s*>\s*(\d{1,6})\s*/\s*(\d{1,6})\s*(s|min|h)\s*\Z"
)
_UNITS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """More than `most` breaches of this severity or a higher one, within so many seconds."""

    severity: Severity
    most: int
    seconds: int

    def __str__(self) -> str:
        return f"more than {self.most} breaches of severity {self.severity} in {self.seconds} s"


def read_rules(text: str) -> tuple[BreakerRule, ...]:
    """`critical>2/5min`, several with commas. Raises ValueError."""
    rules = []
    for part in text.split(","):
        found = _RULE.match(part)
        if found is None or int(found[3]) == 0:
            raise ValueError(
                f"`{part.strip()}` is no rule; write critical>2/5min, with s, min or h"
            )
        rules.append(
            BreakerRule(Severity(found[1]), int(found[2]), int(found[3]) * _UNITS[found[4]])
        )
    return tuple(rules)


def _checked(text: object) -> object:
    if isinstance(text, str):
        read_rules(text)
    return text


BreakerRules = Annotated[str | None, BeforeValidator(_checked)]


class Breaker:
    """Opens by its rules, by `open`, or because of the file `STOP`, and is closed by `close` alone.

    A state that cannot be read counts as open. `earlier` are breaches before this process, as
    (seconds since 1970, severity), so that one that dies again and again still opens.
    """

    def __init__(
        self,
        directory: Path,
        rules: Iterable[BreakerRule] = (),
        *,
        earlier: Iterable[tuple[float, Severity]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = directory / "breaker.json"
        self._stop = directory / STOP_FILE
        self._rules = tuple(rules)
        self._longest = max((rule.seconds for rule in self._rules), default=0)
        self._clock = clock
        self._breaches: deque[tuple[float, Severity]] = deque(earlier)
        self._why = self._read()

    def why(self) -> str | None:
        """Why it is open; None while it is closed."""
        if self._why is None and self._stop.exists():
            self.open(f"the file {STOP_FILE} is there")
        return self._why

    def note(self, severity: Severity) -> str | None:
        """Count a breach. Why it opens, if this one opens it."""
        now = self._clock()
        self._breaches.append((now, severity))
        while self._breaches and self._breaches[0][0] < now - self._longest:
            self._breaches.popleft()
        for rule in self._rules if self._why is None else ():
            since = now - rule.seconds
            counted = sum(
                at >= since and one.factor >= rule.severity.factor for at, one in self._breaches
            )
            if counted > rule.most:
                self.open(str(rule))
                return self._why
        return None

    def open(self, why: str) -> None:
        """Answer nothing from now on. It is so on disk when this returns; StorageFull leaves it open
        in this process."""
        if self._why is None:
            self._why = why
            self._write({"open": True, "why": why, "at": _now()})

    def close(self, by: str) -> None:
        """Answer again. Raises InputError while the file `STOP` is there."""
        if self._stop.exists():
            what = "is there, and nothing is answered while it is"
            raise InputError(Problem(str(self._stop), what, "delete it, then reset again"))
        self._write({"open": False, "closed_by": by, "at": _now()})
        self._breaches.clear()
        self._why = None

    def _read(self) -> str | None:
        if not self._file.exists():
            return None
        with suppress(InputError):
            found = read_json(self._file, dict)
            if found.get("open") is False:
                return None
            if isinstance(found.get("why"), str):
                return str(found["why"])
        return f"{self._file.name} cannot be read"

    def _write(self, state: dict[str, object]) -> None:
        write_json_atomic(self._file, state)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
