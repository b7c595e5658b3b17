"""Formats of criteria that compare, from each of which comes a judge principle.

icai (Findeis et al. 2024):  "1. Select the response that ...\\n2. ..."
constitutional-evals 1.1:    {"schema_version", "id", "title", "version", "criteria": [...],
                              "voices", "provenance", "changelog"}, or a bare list of criteria
anthropic-preference (RLMadisonInstructions.json of Bai et al. 2022):
                             ["\\nPlease choose ... Options:"]
"""

import re
from typing import Any

from constitution.interchange.draft import ConstitutionDraft
from constitution.interchange.shapes import WITHOUT_IDS, Format, Shape
from constitution.interchange.wording import preference_text
from constitution.schema import Constitution, slug

__all__ = ["SHAPES"]

_NO_CRITERION = re.compile(r"\bOptions:\s*+\Z|CritiqueRequest:")
_NUMBER = re.compile(r"^[ \t]*\d+[.)][ \t]+", re.MULTILINE)
_OPTIONS = re.compile(r"\bOptions:\s*+\Z")
_SCHEMA_VERSION = "1.1"
_KEYS = ("schema_version", "id", "title", "version", "criteria")


def _is_numbered(data: Any) -> bool:
    return isinstance(data, str)


def _read_numbered(data: Any, draft: ConstitutionDraft) -> None:
    """Each numbered line, or each line if none is numbered."""
    text = draft.text(data, "the file")
    before, *numbered = _NUMBER.split(text)
    if before.strip() and numbered:
        draft.notes.append(f"left out: the words before the first number, {before.strip()!r}")
    for criterion in numbered or before.splitlines():
        if criterion.strip():
            draft.chosen_by(" ".join(criterion.split()))


def _numbered(constitution: Constitution) -> Any:
    texts = [" ".join(preference_text(p).split()) for p in constitution.principles]
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def _is_evals(data: Any) -> bool:
    """A list of texts is one if they are not another format's prompts."""
    if isinstance(data, dict):
        return "criteria" in data
    return isinstance(data, list) and any(
        isinstance(one, str) and not _NO_CRITERION.search(one) for one in data
    )


def _read_evals(data: Any, draft: ConstitutionDraft) -> None:
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


def _evals(constitution: Constitution) -> Any:
    return {
        "schema_version": _SCHEMA_VERSION,
        "id": constitution.name,
        "title": constitution.description or constitution.name,
        "version": constitution.version,
        "criteria": [preference_text(principle) for principle in constitution.principles],
        "voices": [],
        "provenance": {},
        "changelog": [],
    }


def _is_options(data: Any) -> bool:
    return isinstance(data, list) and any(isinstance(t, str) and _OPTIONS.search(t) for t in data)


def _read_options(data: Any, draft: ConstitutionDraft) -> None:
    for index, text in enumerate(draft.items(data, "the file")):
        draft.chosen_by(_OPTIONS.sub("", draft.text(text, f"[{index}]")).rstrip())


def _options(constitution: Constitution) -> Any:
    return [f"\n{preference_text(p)} Options:" for p in constitution.principles]


SHAPES = {
    Format.ICAI: Shape(_is_numbered, _read_numbered, _numbered, ("preference",), WITHOUT_IDS),
    Format.CONSTITUTIONAL_EVALS: Shape(
        _is_evals, _read_evals, _evals, ("preference", "description", "version"), WITHOUT_IDS
    ),
    Format.ANTHROPIC_PREFERENCE: Shape(_is_options, _read_options, _options, ("preference",)),
}
