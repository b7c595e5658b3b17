"""What was answered in use: a guard's log, or any JSONL of conversations, day by day."""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.guard.audit import day_files
from engine.messages import Conversation, Message
from engine.storage.jsonl import numbered_jsonl

__all__ = ["LoggedAnswer", "read_log", "sampled"]

_TIMES = ("at", "timestamp", "created_at", "created", "time")
_ANSWERS = ("answer", "completion", "response")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """One answer in use. `rating` is what its user made of it, from 0 (bad) to 1, if anything."""

    id: str
    day: date
    prompt: Conversation
    answer: str
    rating: float | None = None


def read_log(path: Path) -> Iterator[LoggedAnswer]:
    """The answers of a guard's directory, as its model first gave them, or of a JSONL file.

    A row of a file has a time (`at`, `timestamp`, `created_at`: ISO 8601, or seconds since 1970) and
    `messages` that end with the answer, or `prompt` (or `messages`) and `answer`; `id` and `rating`
    if there are any. Raises InputError, with the line, for one that has not.
    """
    guarded = path.is_dir()
    for file in day_files(path) if guarded else [path]:
        for number, row in numbered_jsonl(file):
            if guarded and (row.get("event") != "answer" or not row.get("answer")):
                continue
            where = f"{file}:{number}"
            try:
                prompt, answer = _turns(row)
                yield LoggedAnswer(
                    str(row.get("id", where)), _day(row), prompt, answer, _rating(row)
                )
            except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
                what = f"is not an answer with a time ({error})"
                remedy = "see docs/monitor.md; a guard that keeps no text cannot be watched"
                raise InputError(Problem(where, what, remedy)) from None


def sampled(
    answers: Iterable[LoggedAnswer], per_day: int, seed: int = 0
) -> dict[date, list[LoggedAnswer]]:
    """At most so many of each day, by hashes of their ids, so that a day that is read again gives the
    same; days in order."""
    heaps: dict[date, list[tuple[int, int, LoggedAnswer]]] = defaultdict(list)
    for place, answer in enumerate(answers):
        name = f"{seed}\x00{answer.id}".encode("utf-8", "surrogatepass")
        rank = -int.from_bytes(blake2b(name, digest_size=8).digest())
        heap = heaps[answer.day]
        push = heapq.heappush if len(heap) < per_day else heapq.heappushpop
        push(heap, (rank, place, answer))
    return {
        day: [answer for _, _, answer in sorted(heaps[day], key=lambda one: one[1])]
        for day in sorted(heaps)
    }


def _turns(row: Mapping[str, Any]) -> tuple[Conversation, str]:
    given = row.get("messages", row.get("prompt"))
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else list(given or ())
    messages = tuple(Message(_role(turn), _text(turn["content"])) for turn in turns)
    answer = next((row[name] for name in _ANSWERS if row.get(name) is not None), None)
    if answer is None and messages and messages[-1].role == "assistant":
        messages, answer = messages[:-1], messages[-1].content
    if not messages or answer is None:
        raise ValueError("it has no `messages` and answer")
    return messages, _text(answer)


def _role(turn: Mapping[str, Any]) -> Any:
    if turn["role"] not in _ROLES:
        raise ValueError(f"{turn['role']!r} is not a role")
    return turn["role"]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("what is said is not a text")
    return value


def _day(row: Mapping[str, Any]) -> date:
    at = next((row[name] for name in _TIMES if row.get(name) is not None), None)
    if isinstance(at, int | float) and not isinstance(at, bool):
        return datetime.fromtimestamp(at, UTC).date()
    if not isinstance(at, str):
        raise ValueError(f"it has none of {', '.join(_TIMES)}")
    return datetime.fromisoformat(at).date()


def _rating(row: Mapping[str, Any]) -> float | None:
    given = row.get("rating")
    rating = None if given is None else float(given)
    if rating is not None and math.isnan(rating):
        raise ValueError("its rating is not a number")
    return None if rating is None else min(max(rating, 0.0), 1.0)
