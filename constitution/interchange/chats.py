"""Formats whose examples are chats: llm-swarm's constitutions and NeMo-Aligner's samples.

llm-swarm:     {"constitutions": [{"critic": ..., "revision": ...}],
                "system_chat": [[{"role": ..., "content": ...}, ...]]}
NeMo-Aligner:  {"samples": [[{"role": "User", "content": ...}, ...]]}, beside Anthropic's
               CritiqueRevisionInstructions.json, which holds the principles
"""

from typing import Any

from constitution.interchange.draft import Draft, Exported, not_carried
from constitution.interchange.examples import add_examples, example_messages, read_chats
from constitution.interchange.files import check_examples, json_text, unshown
from constitution.interchange.wording import critique_text
from constitution.schema import Constitution

__all__ = [
    "is_llm_swarm",
    "is_nemo",
    "read_llm_swarm",
    "read_nemo",
    "write_llm_swarm",
    "write_nemo",
]

_KEYS = ("constitutions", "system_chat")


def is_llm_swarm(data: Any) -> bool:
    """Whether `data` has the shape of a constitution of llm-swarm."""
    return isinstance(data, dict) and not data.keys().isdisjoint(_KEYS)


def read_llm_swarm(data: Any, draft: Draft) -> None:
    """A principle for each pair of requests, and the examples."""
    whole = draft.mapping(data, "the file")
    for index, row in enumerate(draft.items(whole.get("constitutions", []), "constitutions")):
        place = f"constitutions[{index}]"
        pair = draft.mapping(row, place)
        critique = draft.text(pair.get("critic"), f"{place}.critic")
        revision = draft.text(pair.get("revision"), f"{place}.revision")
        draft.revised_by(critique, revision)
        draft.left_out(pair, ("critic", "revision"), f"{place}.")
    add_examples(draft, [*read_chats(draft, whole.get("system_chat", []), "system_chat")])
    draft.left_out(whole, _KEYS)


def write_llm_swarm(constitution: Constitution) -> Exported:
    """A pair of requests for each principle, and the examples."""
    pairs = [critique_text(principle) for principle in constitution.principles]
    rows = [{"critic": critique, "revision": revision} for critique, revision in pairs]
    document = {"constitutions": rows, "system_chat": example_messages(constitution)}
    notes = not_carried(constitution, "critique", "revision", "few_shot")
    return Exported(json_text(document), ("left out: the ids of the principles", *notes))


def is_nemo(data: Any) -> bool:
    """Whether `data` has the shape of NeMo-Aligner's samples."""
    return isinstance(data, dict) and isinstance(data.get("samples"), list)


def read_nemo(data: Any, draft: Draft) -> None:
    """The examples, and, where there are no principles yet, those that they ask about."""
    whole = draft.mapping(data, "the file")
    add_examples(draft, [*read_chats(draft, whole.get("samples"), "samples")])
    draft.left_out(whole, ("samples",))


def write_nemo(constitution: Constitution) -> Exported:
    """The examples alone; the principles go into Anthropic's format. Raises InputError without."""
    check_examples(constitution)
    chats = [
        [{**message, "role": message["role"].capitalize()} for message in chat]
        for chat in example_messages(constitution)
    ]
    notes = not_carried(constitution, "critique", "revision", "few_shot")
    beside = "the principles belong beside it, in the format anthropic"
    return Exported(json_text({"samples": chats}), (beside, *unshown(constitution), *notes))
