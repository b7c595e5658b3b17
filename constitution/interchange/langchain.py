"""LangChain's ConstitutionalPrinciple: {name: {"name", "critique_request", "revision_request"}}."""

from typing import Any

from constitution.interchange.draft import Draft, Exported, not_carried
from constitution.interchange.files import json_text
from constitution.interchange.wording import critique_text
from constitution.schema import Constitution

__all__ = ["is_langchain", "read_langchain", "write_langchain"]

_KEYS = ("name", "critique_request", "revision_request")


def is_langchain(data: Any) -> bool:
    """Whether `data` is principles by name, or a list of them."""
    rows = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return any(isinstance(row, dict) and not row.keys().isdisjoint(_KEYS[1:]) for row in rows)


def read_langchain(data: Any, draft: Draft) -> None:
    """A principle for each, under its key or its name."""
    rows = data if isinstance(data, dict) else dict(enumerate(draft.items(data, "the file")))
    for key, value in rows.items():
        place = key if isinstance(key, str) else f"[{key}]"
        row = draft.mapping(value, place)
        critique = draft.text(row.get("critique_request"), f"{place}.critique_request")
        revision = draft.text(row.get("revision_request"), f"{place}.revision_request")
        name = key if isinstance(key, str) else str(row.get("name") or "") or None
        draft.revised_by(critique, revision, name)
        if row.get("name") not in (None, name):
            draft.notes.append(f"left out: the name {row['name']!r} of {place}")
        draft.left_out(row, _KEYS, f"{place}.")


def write_langchain(constitution: Constitution) -> Exported:
    """A pair of requests for each principle, by id."""
    rows = {}
    for principle in constitution.principles:
        asked = (principle.id, *critique_text(principle))
        rows[principle.id] = dict(zip(_KEYS, asked, strict=True))
    return Exported(json_text(rows), not_carried(constitution, "critique", "revision"))
