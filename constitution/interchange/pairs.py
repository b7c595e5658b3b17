"""Formats that ask for a critique and a revision, and the examples of these that go with them.

anthropic (CritiqueRevisionInstructions.json of Bai et al. 2022, "Constitutional AI"):
    {"harmful0": {"prompt": ["\\n\\nCritiqueRequest: ..."], "edit_request": "\\n\\nRevisionRequest: ..."}}
anthropic-few-shot (CritiqueRevisionFewShotPrompts.json beside it):
    ["\\n\\nHuman: ...\\n\\nAssistant: ...\\n\\nCritiqueRequest: ..."]
langchain (ConstitutionalPrinciple):
    {name: {"name", "critique_request", "revision_request"}}, or a list of them
llm-swarm:
    {"constitutions": [{"critic": ..., "revision": ...}],
     "system_chat": [[{"role": ..., "content": ...}, ...]]}
nemo-aligner, beside the file anthropic, which holds the principles:
    {"samples": [[{"role": "User", "content": ...}, ...]]}
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
from constitution.interchange.examples import (
    add_examples,
    example_messages,
    read_chats,
    read_transcripts,
    transcript,
)
from constitution.interchange.wording import critique_text
from constitution.schema import Constitution

__all__ = ["SHAPES"]

_CRITIQUE = re.compile(r"\ACritique ?Request:\s*|\bCritique:\Z")
_REVISION = re.compile(r"\ARevision ?Request:\s*|\bRevision:\Z")
_NAMED = ("name", "critique_request", "revision_request")
_SWARM = ("constitutions", "system_chat")


def _read_instructions(data: Any, draft: ConstitutionDraft) -> None:
    """Texts are without white space around them, and without the format's own headings."""
    for name, row in draft.mapping(data, "the file").items():
        pair = draft.mapping(row, name)
        asked = pair.get("prompt")
        critique, *others = (
            _CRITIQUE.sub("", draft.text(text, f"{name}.prompt")).rstrip()
            for text in (asked if isinstance(asked, list) and asked else [asked])
        )
        revision = draft.text(pair.get("edit_request"), f"{name}.edit_request")
        draft.revised_by(critique, _REVISION.sub("", revision).rstrip(), name)
        draft.left_out(pair, ("prompt", "edit_request"), f"{name}.")
        for text in others:
            draft.notes.append(f"left out: another wording of the critique of {name}, {text!r}")


def _instructions(constitution: Constitution) -> Any:
    asked = {principle.id: critique_text(principle) for principle in constitution.principles}
    return {
        id: {
            "prompt": [f"\n\nCritiqueRequest: {critique}\n\nCritique:"],
            "edit_request": f"\n\nRevisionRequest: {revision}\n\nRevision:",
        }
        for id, (critique, revision) in asked.items()
    }


def _read_named(data: Any, draft: ConstitutionDraft) -> None:
    rows = data if isinstance(data, dict) else dict(enumerate(draft.items(data, "the file")))
    for key, value in rows.items():
        place = key if isinstance(key, str) else f"[{key}]"
        row = draft.mapping(value, place)
        critique, revision = (draft.text(row.get(name), f"{place}.{name}") for name in _NAMED[1:])
        name = key if isinstance(key, str) else str(row.get("name") or "") or None
        draft.revised_by(critique, revision, name)
        if row.get("name") not in (None, name):
            draft.notes.append(f"left out: the name {row['name']!r} of {place}")
        draft.left_out(row, _NAMED, f"{place}.")


def _read_swarm(data: Any, draft: ConstitutionDraft) -> None:
    whole = draft.mapping(data, "the file")
    for index, row in enumerate(draft.items(whole.get("constitutions", []), "constitutions")):
        place = f"constitutions[{index}]"
        pair = draft.mapping(row, place)
        critique, revision = (
            draft.text(pair.get(key), f"{place}.{key}") for key in ("critic", "revision")
        )
        draft.revised_by(critique, revision)
        draft.left_out(pair, ("critic", "revision"), f"{place}.")
    add_examples(draft, [*read_chats(draft, whole.get("system_chat", []), "system_chat")])
    draft.left_out(whole, _SWARM)


def _read_samples(data: Any, draft: ConstitutionDraft) -> None:
    whole = draft.mapping(data, "the file")
    add_examples(draft, [*read_chats(draft, whole.get("samples"), "samples")])
    draft.left_out(whole, ("samples",))


_PAIR = ("critique", "revision")
SHAPES = {
    Format.ANTHROPIC: Shape(
        lambda data: isinstance(data, dict) and has_rows(data, "edit_request"),
        _read_instructions,
        _instructions,
        _PAIR,
    ),
    Format.ANTHROPIC_FEW_SHOT: Shape(
        lambda data: any("CritiqueRequest:" in t and "Human:" in t for t in texts_of(data)),
        lambda data, draft: add_examples(draft, [*read_transcripts(draft, data)]),
        lambda rules: [transcript(rules, example) for example in rules.few_shot],
        (*_PAIR, "few_shot"),
        examples_only=True,
    ),
    Format.LLM_SWARM: Shape(
        lambda data: isinstance(data, dict) and not data.keys().isdisjoint(_SWARM),
        _read_swarm,
        lambda rules: {
            "constitutions": [
                dict(zip(("critic", "revision"), critique_text(p), strict=True))
                for p in rules.principles
            ],
            "system_chat": example_messages(rules),
        },
        (*_PAIR, "few_shot"),
        WITHOUT_IDS,
    ),
    Format.NEMO_ALIGNER: Shape(
        lambda data: isinstance(data, dict) and isinstance(data.get("samples"), list),
        _read_samples,
        lambda rules: {
            "samples": [
                [{**message, "role": message["role"].capitalize()} for message in chat]
                for chat in example_messages(rules)
            ]
        },
        (*_PAIR, "few_shot"),
        "the principles belong beside it, in the format anthropic",
        examples_only=True,
    ),
    Format.LANGCHAIN: Shape(
        lambda data: has_rows(data, *_NAMED[1:]),
        _read_named,
        lambda rules: {
            p.id: dict(zip(_NAMED, (p.id, *critique_text(p)), strict=True))
            for p in rules.principles
        },
        _PAIR,
    ),
}
