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

from constitution.interchange.draft import ConstitutionDraft
from constitution.interchange.examples import (
    add_examples,
    example_messages,
    read_chats,
    read_transcripts,
    transcript,
)
from constitution.interchange.shapes import WITHOUT_IDS, Format, Shape
from constitution.interchange.wording import critique_text
from constitution.schema import Constitution

__all__ = ["SHAPES"]

_CRITIQUE = re.compile(r"\ACritique ?Request:\s*|\bCritique:\Z")
_REVISION = re.compile(r"\ARevision ?Request:\s*|\bRevision:\Z")
_NAMED = ("name", "critique_request", "revision_request")
_SWARM = ("constitutions", "system_chat")


def _is_instructions(data: Any) -> bool:
    rows = data.values() if isinstance(data, dict) else ()
    return any(isinstance(row, dict) and "edit_request" in row for row in rows)


def _read_instructions(data: Any, draft: ConstitutionDraft) -> None:
    for name, row in draft.mapping(data, "the file").items():
        pair = draft.mapping(row, name)
        asked = pair.get("prompt")
        first, *others = asked if isinstance(asked, list) and asked else [asked]
        critique = draft.text(first, f"{name}.prompt")
        revision = draft.text(pair.get("edit_request"), f"{name}.edit_request")
        draft.revised_by(_bare(_CRITIQUE, critique), _bare(_REVISION, revision), name)
        draft.left_out(pair, ("prompt", "edit_request"), f"{name}.")
        for other in others:
            text = _bare(_CRITIQUE, draft.text(other, f"{name}.prompt"))
            draft.notes.append(f"left out: another wording of the critique of {name}, {text!r}")


def _bare(headings: re.Pattern[str], text: str) -> str:
    """`text`, which has no white space around it, without the format's own headings."""
    return headings.sub("", text).rstrip()


def _instructions(constitution: Constitution) -> Any:
    asked = {principle.id: critique_text(principle) for principle in constitution.principles}
    return {
        id: {
            "prompt": [f"\n\nCritiqueRequest: {critique}\n\nCritique:"],
            "edit_request": f"\n\nRevisionRequest: {revision}\n\nRevision:",
        }
        for id, (critique, revision) in asked.items()
    }


def _is_transcripts(data: Any) -> bool:
    return isinstance(data, list) and any(
        isinstance(text, str) and "CritiqueRequest:" in text and "Human:" in text for text in data
    )


def _read_transcripts(data: Any, draft: ConstitutionDraft) -> None:
    add_examples(draft, [*read_transcripts(draft, data)])


def _transcripts(constitution: Constitution) -> Any:
    return [transcript(constitution, example) for example in constitution.few_shot]


def _is_named(data: Any) -> bool:
    rows = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return any(isinstance(row, dict) and not row.keys().isdisjoint(_NAMED[1:]) for row in rows)


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


def _named(constitution: Constitution) -> Any:
    return {
        principle.id: dict(zip(_NAMED, (principle.id, *critique_text(principle)), strict=True))
        for principle in constitution.principles
    }


def _is_swarm(data: Any) -> bool:
    return isinstance(data, dict) and not data.keys().isdisjoint(_SWARM)


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


def _swarm(constitution: Constitution) -> Any:
    pairs = [critique_text(principle) for principle in constitution.principles]
    rows = [{"critic": critique, "revision": revision} for critique, revision in pairs]
    return {"constitutions": rows, "system_chat": example_messages(constitution)}


def _is_samples(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("samples"), list)


def _read_samples(data: Any, draft: ConstitutionDraft) -> None:
    whole = draft.mapping(data, "the file")
    add_examples(draft, [*read_chats(draft, whole.get("samples"), "samples")])
    draft.left_out(whole, ("samples",))


def _samples(constitution: Constitution) -> Any:
    chats = example_messages(constitution)
    return {"samples": [[{**m, "role": m["role"].capitalize()} for m in chat] for chat in chats]}


_PAIR = ("critique", "revision")
SHAPES = {
    Format.ANTHROPIC: Shape(_is_instructions, _read_instructions, _instructions, _PAIR),
    Format.ANTHROPIC_FEW_SHOT: Shape(
        _is_transcripts, _read_transcripts, _transcripts, (*_PAIR, "few_shot"), examples_only=True
    ),
    Format.LLM_SWARM: Shape(_is_swarm, _read_swarm, _swarm, (*_PAIR, "few_shot"), WITHOUT_IDS),
    Format.NEMO_ALIGNER: Shape(
        _is_samples,
        _read_samples,
        _samples,
        (*_PAIR, "few_shot"),
        "the principles belong beside it, in the format anthropic",
        examples_only=True,
    ),
    Format.LANGCHAIN: Shape(_is_named, _read_named, _named, _PAIR),
}
