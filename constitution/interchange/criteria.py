"""Formats of criteria that compare: icai's numbered text and Constitutional-Evals.

icai (Findeis et al. 2024):  "1. Select the response that ...\\n2. ..."
Constitutional-Evals 1.1:    {"schema_version", "id", "title", "version", "criteria": [...],
                              "voices", "provenance", "changelog"}, or a bare list of criteria
"""

import re
from typing import Any

from constitution.interchange.draft import Draft, Exported, not_carried
from constitution.interchange.files import json_text
from constitution.interchange.wording import preference_text, slug
from constitution.schema import Constitution

__all__ = ["is_evals", "is_icai", "read_evals", "read_icai", "write_evals", "write_icai"]

_NUMBER = re.compile(r"^[ \t]*\d+[.)][ \t]+", re.MULTILINE)
_SCHEMA_VERSION = "1.1"
_KEYS = ("schema_version", "id", "title", "version", "criteria")


def is_icai(data: Any) -> bool:
    """Whether `data` is one text."""
    return isinstance(data, str)


def read_icai(data: Any, draft: Draft) -> None:
    """A judge principle for each numbered line, or each line if none is numbered."""
    text = draft.text(data, "the file")
    before, *numbered = _NUMBER.split(text)
    if before.strip() and numbered:
        draft.notes.append(f"left out: the words before the first number, {before.strip()!r}")
    for criterion in numbered or before.splitlines():
        if criterion.strip():
            draft.chosen_by(" ".join(criterion.split()))


def write_icai(constitution: Constitution) -> Exported:
    """A numbered line for each principle."""
    texts = [" ".join(preference_text(p).split()) for p in constitution.principles]
    lines = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
    notes = ("left out: the ids of the principles", *not_carried(constitution, "preference"))
    return Exported(json_text(lines), notes)


def is_evals(data: Any) -> bool:
    """Whether `data` has `criteria`, or is a list of texts that are no longer prompts."""
    if isinstance(data, dict):
        return "criteria" in data
    return isinstance(data, list) and any(
        isinstance(one, str) and not re.search(r"\bOptions:\s*\Z|CritiqueRequest:", one)
        for one in data
    )


def read_evals(data: Any, draft: Draft) -> None:
    """A judge principle for each criterion."""
    if isinstance(data, dict):
        version = data.get("schema_version")
        if version not in (None, _SCHEMA_VERSION):
            draft.notes.append(f"read as version {_SCHEMA_VERSION}: schema_version is {version!r}")
        if data.get("id"):
            draft.name = draft.name or slug(draft.text(data["id"], "id"))
        if data.get("title"):
            draft.description = draft.text(data["title"], "title") or None
        if data.get("version"):
            draft.version = str(data["version"])
        draft.left_out(data, _KEYS)
        data = data.get("criteria")
    for index, criterion in enumerate(draft.items(data, "criteria")):
        draft.chosen_by(draft.text(criterion, f"criteria[{index}]"))


def write_evals(constitution: Constitution) -> Exported:
    """A criterion for each principle."""
    document = {
        "schema_version": _SCHEMA_VERSION,
        "id": constitution.name,
        "title": constitution.description or constitution.name,
        "version": constitution.version,
        "criteria": [preference_text(principle) for principle in constitution.principles],
        "voices": [],
        "provenance": {},
        "changelog": [],
    }
    notes = not_carried(constitution, "preference", "description", "version")
    return Exported(json_text(document), ("left out: the ids of the principles", *notes))
