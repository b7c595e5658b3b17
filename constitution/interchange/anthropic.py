"""The files beside "Constitutional AI: Harmlessness from AI Feedback" (Bai et al. 2022).

CritiqueRevisionInstructions.json   {"harmful0": {"prompt": ["\\n\\nCritiqueRequest: ..."],
                                                  "edit_request": "\\n\\nRevisionRequest: ..."}}
CritiqueRevisionFewShotPrompts.json ["\\n\\nHuman: ...\\n\\nAssistant: ...\\n\\nCritiqueRequest: ..."]
RLMadisonInstructions.json          ["\\nPlease choose ... Options:"]
"""

import re
from collections.abc import Callable
from typing import Any

from constitution.interchange.draft import Draft, Exported, not_carried
from constitution.interchange.examples import add_examples, read_transcripts, transcript
from constitution.interchange.files import check_examples, json_text, unshown
from constitution.interchange.wording import critique_text, preference_text
from constitution.schema import Constitution

__all__ = [
    "is_few_shot",
    "is_instructions",
    "is_preferences",
    "is_preferences_few_shot",
    "read_few_shot",
    "read_instructions",
    "read_preferences",
    "write_few_shot",
    "write_instructions",
    "write_preferences",
]

_CRITIQUE = re.compile(r"\A\s*Critique ?Request:\s*|\s*\bCritique:\s*\Z")
_REVISION = re.compile(r"\A\s*Revision ?Request:\s*|\s*\bRevision:\s*\Z")
_OPTIONS = re.compile(r"\s*\bOptions:\s*\Z")
_KEYS = ("prompt", "edit_request")


def is_instructions(data: Any) -> bool:
    """Whether `data` has the shape of the instructions for critique and revision."""
    rows = data.values() if isinstance(data, dict) else ()
    return any(isinstance(row, dict) and "edit_request" in row for row in rows)


def read_instructions(data: Any, draft: Draft) -> None:
    """A principle for each pair of requests, under the id it has."""
    for name, row in draft.mapping(data, "the file").items():
        pair = draft.mapping(row, name)
        asked = pair.get("prompt")
        first, *others = asked if isinstance(asked, list) and asked else [asked]
        critique = draft.text(first, f"{name}.prompt")
        revision = draft.text(pair.get("edit_request"), f"{name}.edit_request")
        draft.revised_by(_CRITIQUE.sub("", critique), _REVISION.sub("", revision), name)
        draft.left_out(pair, _KEYS, f"{name}.")
        for other in others:
            text = _CRITIQUE.sub("", draft.text(other, f"{name}.prompt"))
            draft.notes.append(f"left out: another wording of the critique of {name}, {text!r}")


def write_instructions(constitution: Constitution) -> Exported:
    """A pair of requests for each principle."""
    rows = {}
    for principle in constitution.principles:
        critique, revision = critique_text(principle)
        rows[principle.id] = {
            "prompt": [f"\n\nCritiqueRequest: {critique}\n\nCritique:"],
            "edit_request": f"\n\nRevisionRequest: {revision}\n\nRevision:",
        }
    return Exported(json_text(rows), not_carried(constitution, "critique", "revision"))


def is_preferences(data: Any) -> bool:
    """Whether `data` has the shape of the comparisons."""
    return _any_text(data, lambda text: bool(_OPTIONS.search(text)))


def read_preferences(data: Any, draft: Draft) -> None:
    """A judge principle for each comparison."""
    for index, text in enumerate(draft.items(data, "the file")):
        draft.chosen_by(_OPTIONS.sub("", draft.text(text, f"[{index}]")))


def write_preferences(constitution: Constitution) -> Exported:
    """A comparison for each principle."""
    texts = [f"\n{preference_text(p)} Options:" for p in constitution.principles]
    return Exported(json_text(texts), not_carried(constitution, "preference"))


def is_few_shot(data: Any) -> bool:
    """Whether `data` has the shape of the examples of critiques and revisions."""
    return _any_text(data, lambda text: "CritiqueRequest:" in text and "Human:" in text)


def read_few_shot(data: Any, draft: Draft) -> None:
    """The examples, and, where there are no principles yet, those that they ask about."""
    add_examples(draft, [*read_transcripts(draft, data)])


def write_few_shot(constitution: Constitution) -> Exported:
    """The examples alone. Raises InputError where there are none."""
    check_examples(constitution)
    texts = [transcript(constitution, example) for example in constitution.few_shot]
    carried = ("few_shot", "critique", "revision")
    return Exported(
        json_text(texts), (*not_carried(constitution, *carried), *unshown(constitution))
    )


def is_preferences_few_shot(data: Any) -> bool:
    """Whether `data` is examples for a judge, which a constitution has no place for."""
    return isinstance(data, list) and any(
        isinstance(row, dict) and "(A)" in str(row.get("prompt")) for row in data
    )


def _any_text(data: Any, test: Callable[[str], bool]) -> bool:
    return isinstance(data, list) and any(isinstance(one, str) and test(one) for one in data)
