"""OpenCharacterTraining: traits of a character in its own words, each with questions that show it.

A .txt file with one JSON list  [{"trait": "I am ...", "questions": [...]}]
A .jsonl file, a line for each  {"trait", "questions", "additional_questions", "clarification"?}
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from constitution.interchange.draft import Draft, Exported, not_carried
from constitution.interchange.files import json_text
from constitution.schema import Constitution, Principle

__all__ = ["is_traits", "read_traits", "write_traits", "write_traits_lines"]

_SAYS = "The assistant's reply is that of one who could say: "
_FIRST_PERSON = re.compile(r"\b(?:I|I['’](?:m|ve|d|ll)|my|My|me)\b")
_KEYS = ("trait", "questions", "additional_questions", "clarification")


def is_traits(data: Any) -> bool:
    """Whether `data` is a list of traits."""
    return isinstance(data, list) and any(isinstance(row, dict) and "trait" in row for row in data)


def read_traits(data: Any, draft: Draft) -> None:
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


def write_traits(constitution: Constitution) -> Exported:
    """One list, with the prompts of each principle's tests as its questions."""
    rows = [_trait(principle) for principle in constitution.principles]
    return Exported(json_text(rows), _notes(constitution))


def write_traits_lines(constitution: Constitution) -> Exported:
    """A line for each, with the prompts of each principle's tests as its questions."""
    rows = [{**_trait(p), "additional_questions": []} for p in constitution.principles]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return Exported(lines, _notes(constitution))


def _trait(principle: Principle) -> Mapping[str, Any]:
    trait, _, clarification = principle.statement.partition("\n\n")
    questions = [test.prompt for test in principle.tests]
    row = {"trait": trait.removeprefix(_SAYS), "questions": questions}
    return row | ({"clarification": clarification} if clarification else {})


def _notes(constitution: Constitution) -> tuple[str, ...]:
    tested = any(principle.tests for principle in constitution.principles)
    answers = ("left out: the answers of the tests, whose prompts are questions",) if tested else ()
    notes = not_carried(constitution, "statement", "tests")
    return ("left out: the ids of the principles", *answers, *notes)
