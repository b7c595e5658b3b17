"""OpenCharacterTraining: traits of a character in its own words, each with questions that show it.

A .txt file with one JSON list  [{"trait": "I am ...", "questions": [...]}]
A .jsonl file, a line for each  {"trait", "questions", "additional_questions", "clarification"?}
"""

import re
from typing import Any

from constitution.interchange.draft import ConstitutionDraft
from constitution.interchange.shapes import WITHOUT_IDS, Format, Shape
from constitution.schema import Constitution

__all__ = ["SHAPES"]

_SAYS = "The assistant's reply is that of one who could say: "
_FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve|d|ll)|my|My|me)\b")
_KEYS = ("trait", "questions", "additional_questions", "clarification")


def _is_traits(data: Any) -> bool:
    return isinstance(data, list) and any(isinstance(row, dict) and "trait" in row for row in data)


def _read_traits(data: Any, draft: ConstitutionDraft) -> None:
    """A principle for each trait; its questions become prompts."""
    asked = 0
    for index, value in enumerate(draft.items(data, "the file")):
        row = draft.mapping(value, f"[{index}]")
        trait = draft.text(row.get("trait"), f"[{index}].trait")
        said = _SAYS + trait if _FIRST_PERSON.search(trait) else trait
        if row.get("clarification"):
            said += "\n\n" + draft.text(row["clarification"], f"[{index}].clarification")
        id = draft.stated(said, name=trait) if trait else ""
        for key in ("questions", "additional_questions"):
            for at, question in enumerate(draft.items(row.get(key) or [], f"[{index}].{key}")):
                text = draft.text(question, f"[{index}].{key}[{at}]")
                draft.prompts.append({"prompt": text, "tags": [id]})
                asked += 1
        draft.left_out(row, _KEYS, f"[{index}].")
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


def _trait_lines(constitution: Constitution) -> Any:
    return [{**row, "additional_questions": []} for row in _traits(constitution)]


_CARRIES = ("statement", "tests")
SHAPES = {
    Format.OPEN_CHARACTER: Shape(_is_traits, _read_traits, _traits, _CARRIES, WITHOUT_IDS),
    Format.OPEN_CHARACTER_LINES: Shape(
        _is_traits, _read_traits, _trait_lines, _CARRIES, WITHOUT_IDS, lines=True
    ),
}
