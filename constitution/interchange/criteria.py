"""Formats whose principles are a sentence each: criteria that compare, and traits of a character.

From each criterion comes a judge principle:
icai (Findeis et al. 2024):  "1. Select the response that ...\\n2. ..."
constitutional-evals 1.1:    {"schema_version", "id", "title", "version", "criteria": [...],
                              "voices", "provenance", "changelog"}, or a bare list of criteria
anthropic-preference (RLMadisonInstructions.json of Bai et al. 2022):
                             ["\\nPlease choose ... Options:"]

OpenCharacterTraining has traits of a character in its own words, each with questions that show it:
a .txt file with one JSON list  [{"trait": "I am ...", "questions": [...]}]
a .jsonl file, a line for each  {"trait", "questions", "additional_questions", "clarification"?}
"""

import re
from typing import Any

from constitution.interchange.draft import (
    WITHOUT_IDS,
    ConstitutionDraft,
    Format,
    Shape,
    has_rows,
    texts_of,
)
from constitution.interchange.wording import compares, preference_text
from constitution.schema import Constitution, slug

__all__ = ["SHAPES"]

_NO_CRITERION = re.compile(r"\bOptions:\s*+\Z|CritiqueRequest:")
_NUMBER = re.compile(r"^[ \t]*\d+[.)][ \t]+", re.MULTILINE)
_OPTIONS = re.compile(r"\bOptions:\s*+\Z")
_SCHEMA_VERSION = "1.1"
_KEYS = ("schema_version", "id", "title", "version", "criteria")


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
    """A list of texts is one if they compare, and are not another format's prompts."""
    if isinstance(data, dict):
        return "criteria" in data and bool(texts_of(data["criteria"]))
    texts = [text for text in texts_of(data) if not _NO_CRITERION.search(text)]
    return bool(texts) and all(map(compares, texts))


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


def _read_options(data: Any, draft: ConstitutionDraft) -> None:
    for index, text in enumerate(draft.items(data, "the file")):
        draft.chosen_by(_OPTIONS.sub("", draft.text(text, f"[{index}]")).rstrip())


_SAYS = "The assistant's reply is that of one who could say: "
_FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve|d|ll)|my|My|me)\b")
_TRAIT_KEYS = ("trait", "questions", "additional_questions", "clarification")


def _is_traits(data: Any) -> bool:
    return isinstance(data, list) and has_rows(data, "trait")


def _read_traits(data: Any, draft: ConstitutionDraft) -> None:
    """A principle for each trait; its questions become prompts."""
    asked = 0
    for index, value in enumerate(draft.items(data, "the file")):
        row = draft.mapping(value, f"[{index}]")
        trait = draft.text(row.get("trait"), f"[{index}].trait")
        said = _SAYS + trait if _FIRST_PERSON.search(trait) else trait
        if row.get("clarification"):
            said += "\n\n" + draft.text(row["clarification"], f"[{index}].clarification")
        id = draft.stated(said, words=trait) if trait else ""
        for key in ("questions", "additional_questions"):
            for at, question in enumerate(draft.items(row.get(key) or [], f"[{index}].{key}")):
                text = draft.text(question, f"[{index}].{key}[{at}]")
                draft.prompts.append({"prompt": text, "tags": [id]})
                asked += 1
        draft.left_out(row, _TRAIT_KEYS, f"[{index}].")
    if asked:
        draft.notes.append(
            f"{asked:,} questions are prompts, which a constitution does not hold: "
            "write them beside it with --prompts FILE"
        )


def _traits(constitution: Constitution) -> list[dict[str, Any]]:
    """The prompts of each principle's tests are its questions."""
    rows: list[dict[str, Any]] = []
    for principle in constitution.principles:
        trait, _, clarification = principle.statement.partition("\n\n")
        questions = [test.prompt for test in principle.tests]
        row = {"trait": trait.removeprefix(_SAYS), "questions": questions}
        rows.append(row | ({"clarification": clarification} if clarification else {}))
    return rows


_CARRIES = ("statement", "tests")
SHAPES = {
    Format.ICAI: Shape(
        lambda data: isinstance(data, str),
        _read_numbered,
        _numbered,
        ("preference",),
        WITHOUT_IDS,
    ),
    Format.CONSTITUTIONAL_EVALS: Shape(
        _is_evals, _read_evals, _evals, ("preference", "description", "version"), WITHOUT_IDS
    ),
    Format.ANTHROPIC_PREFERENCE: Shape(
        lambda data: any(map(_OPTIONS.search, texts_of(data))),
        _read_options,
        lambda rules: [f"\n{preference_text(p)} Options:" for p in rules.principles],
        ("preference",),
    ),
    Format.OPEN_CHARACTER: Shape(_is_traits, _read_traits, _traits, _CARRIES, WITHOUT_IDS),
    Format.OPEN_CHARACTER_LINES: Shape(
        _is_traits,
        _read_traits,
        lambda rules: [{**row, "additional_questions": []} for row in _traits(rules)],
        _CARRIES,
        WITHOUT_IDS,
        lines=True,
    ),
}
