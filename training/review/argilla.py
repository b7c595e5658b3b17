"""Argilla: a dataset directory as `rg.Dataset.from_disk` reads it, and verdicts from its dumps.

Of its dumps both shapes can be read: nested (`dataset.to_disk`, `records.to_json`) and flat
(`records.to_list(flatten=True)`), which alone says whether a response was submitted or is a draft. Of
a nested one no response counts, unless someone says that all were submitted.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.storage.atomic import write_json_atomic
from training.review.items import VERDICTS, Queue, ShownItem
from training.review.review import Vote

__all__ = ["FILES", "RECORDS", "is_argilla", "read_argilla", "write_argilla"]

RECORDS = "records.json"
FILES = (RECORDS, ".argilla")

_QUESTIONS: Mapping[Queue, str] = {
    "pairs": "better",
    "escalated": "verdict",
    "ratings": "rating",
}
_TITLES: Mapping[Queue, str] = {
    "pairs": "Which reply keeps these principles better?",
    "escalated": "Does the reply break this principle?",
    "ratings": "How well does the reply keep this principle? 1 breaks it badly, 5 keeps it fully.",
}
_FIELDS: Mapping[Queue, Mapping[str, str]] = {
    "pairs": {
        "prompt": "Conversation",
        "principles": "Principles",
        "response_a": "A",
        "response_b": "B",
    },
    "escalated": {"prompt": "Conversation", "principles": "Principle", "response": "Reply"},
    "ratings": {"prompt": "Conversation", "principles": "Principle", "response": "Reply"},
}
_SUBMITTED, _UNKNOWN = "submitted", "not known to be submitted"


def write_argilla(directory: Path, queue: Queue, items: Sequence[ShownItem], name: str) -> None:
    """Write `records.json`, `.argilla/settings.json` and `.argilla/dataset.json`."""
    hidden = directory / ".argilla"
    hidden.mkdir()
    write_json_atomic(hidden / "settings.json", _settings(queue))
    write_json_atomic(hidden / "dataset.json", {"name": name, "guidelines": _TITLES[queue]})
    write_json_atomic(directory / RECORDS, [_record(queue, item) for item in items])


def is_argilla(row: Mapping[str, Any]) -> bool:
    """Whether `row` is a record of a dump."""
    return "fields" in row or any(f"{name}.responses" in row for name in _QUESTIONS.values())


def read_argilla(
    path: Path, rows: Sequence[Mapping[str, Any]], *, all_submitted: bool = False
) -> Iterator[Vote]:
    """A vote for each response; one that was not submitted, or not known to be, has no verdict.

    Raises InputError for records without an id.
    """
    for number, row in enumerate(rows, start=1):
        if not isinstance(row.get("id"), str):
            remedy = "import verdicts on records that `solon export --format argilla` wrote"
            raise InputError(Problem(f"{path}:record {number}", "has no 'id'", remedy))
        comments = {
            who: text for who, text, _ in _responses(row, "comment") if isinstance(text, str)
        }
        for question in _QUESTIONS.values():
            for who, verdict, status in _responses(row, question):
                state = str(status or "") or (_SUBMITTED if all_submitted else _UNKNOWN)
                said = None if verdict is None else str(verdict)
                if said is None or state != _SUBMITTED:
                    unused = "passed over" if said is None or state == "discarded" else state
                    yield Vote(row["id"], who, None, unused=unused)
                else:
                    yield Vote(row["id"], who, said, comments.get(who) or "")


def _responses(row: Mapping[str, Any], question: str) -> Iterator[tuple[str, Any, Any]]:
    """User, value and status (None in a nested dump) of each response to a question."""
    if "fields" in row:
        for response in (row.get("responses") or {}).get(question) or ():
            yield str(response.get("user_id") or ""), response.get("value"), response.get("status")
        return
    values = row.get(f"{question}.responses") or ()
    users = row.get(f"{question}.responses.users") or [""] * len(values)
    states = row.get(f"{question}.responses.status") or [None] * len(values)
    yield from zip(map(str, users), values, states, strict=True)


def _settings(queue: Queue) -> dict[str, Any]:
    texts = [
        {
            "name": name,
            "title": title,
            "required": True,
            "settings": {"type": "text", "use_markdown": False},
        }
        for name, title in _FIELDS[queue].items()
    ]
    options = [{"value": verdict, "text": verdict} for verdict in VERDICTS[queue]]
    terms = {"type": "terms", "values": None}
    principle = {"name": "principle", "title": "principle", "settings": terms}
    return {
        "guidelines": f"{_TITLES[queue]} Judge by the principles alone, not by length or style.",
        "fields": texts,
        "questions": [
            {
                "name": _QUESTIONS[queue],
                "title": _TITLES[queue],
                "required": True,
                "settings": {
                    "type": "label_selection",
                    "options": options,
                    "visible_options": len(options),
                },
            },
            {
                "name": "comment",
                "title": "Why" if queue == "ratings" else "Why (if you like)",
                "required": queue == "ratings",
                "settings": {"type": "text", "use_markdown": False},
            },
        ],
        "metadata": [principle],
        "vectors": [],
        "allow_extra_metadata": False,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
    }


def _record(queue: Queue, item: ShownItem) -> dict[str, Any]:
    texts = (item.prompt, item.principles, *item.replies)
    return {
        "id": item.id,
        "fields": dict(zip(_FIELDS[queue], texts, strict=True)),
        "metadata": {"principle": list(item.principle_ids)},
        "suggestions": {},
        "responses": {},
        "vectors": {},
        "status": "pending",
    }
