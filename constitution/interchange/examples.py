"""Example critiques and revisions, which every format writes as a conversation of six turns."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from constitution.interchange.draft import ConstitutionDraft
from constitution.interchange.wording import critique_text
from constitution.schema import Constitution, FewShotExample

__all__ = ["add_examples", "example_messages", "read_chats", "read_transcripts", "transcript"]

_TURNS = 6
"""Prompt, answer, request for a critique, critique, request for a revision, revision."""
_ALIKE = 0.4
"""Share of words in common from which an example is taken to ask what a principle asks."""
_LABEL = re.compile(
    r"(?:^|\n\n)(Human|Assistant|CritiqueRequest|Critique|RevisionRequest|Revision):[ \t]*"
)
_KEPT = ("prompt", "answer", "critique", "revision")
_WORD = re.compile(r"\w+")
_LABELS = ("CritiqueRequest", "Critique", "RevisionRequest", "Revision")
_CONVERSATION = ("Human", "Assistant")


class _Example(NamedTuple):
    """As other formats have it: with what was asked, not of which principle."""

    prompt: str
    answer: str
    critique_request: str
    critique: str
    revision_request: str
    revision: str


def read_chats(draft: ConstitutionDraft, value: Any, where: str) -> Iterator[_Example]:
    """From lists of messages with `role` and `content`; roles in any case."""
    for index, chat in enumerate(draft.items(value, where)):
        place = f"{where}[{index}]"
        texts: list[str] = []
        for at, message in enumerate(draft.items(chat, place)):
            row = draft.mapping(message, f"{place}[{at}]")
            role = str(row.get("role")).lower()
            text = draft.text(row.get("content"), f"{place}[{at}].content")
            if role == "system" and not texts:
                draft.notes.append(f"left out: the system turn of {place}, {text!r}")
            elif role != ("assistant" if len(texts) % 2 else "user"):
                draft.wrong(f"{place}[{at}].role", "user and assistant must take turns")
            else:
                texts.append(text)
        yield from _example(draft, texts, place)


def read_transcripts(draft: ConstitutionDraft, value: Any) -> Iterator[_Example]:
    """From texts whose turns begin with `Human:`, `Assistant:`, `CritiqueRequest:` and so on."""
    for index, text in enumerate(draft.items(value, "the file")):
        place = f"[{index}]"
        _, *parts = _LABEL.split(draft.text(text, place))
        labels, texts = parts[::2], [part.strip() for part in parts[1::2]]
        if labels and labels[-1] == "Human" and not texts[-1]:
            labels, texts = labels[:-1], texts[:-1]
        conversation = labels[:-4]
        told = [_CONVERSATION[at % 2] for at in range(len(conversation))]
        if tuple(labels[-4:]) != _LABELS or conversation != told or "" in texts:
            draft.wrong(place, f"is not turns of {', '.join((*_CONVERSATION, *_LABELS))}")
            continue
        yield from _example(draft, texts, place)


def _example(draft: ConstitutionDraft, texts: Sequence[str], place: str) -> Iterator[_Example]:
    if len(texts) < _TURNS or len(texts) % 2:
        what = f"has {len(texts)} turns where an example has {_TURNS} or more"
        draft.wrong(place, what, "end with a critique and a revision, each after its request")
        return
    earlier = texts[:-_TURNS]
    if earlier:
        draft.notes.append(
            f"left out: {len(earlier)} turns before the last question of {place}, "
            f"beginning with {earlier[0][:80]!r}"
        )
    if all(texts):
        yield _Example(*texts[-_TURNS:])


def add_examples(draft: ConstitutionDraft, examples: Sequence[_Example]) -> None:
    """Put each example under the principle that asks as it does, or else nearly so.

    A file that has examples and no principles gets those that its examples ask about. An example
    that asks about nothing a principle asks about is left out.
    """
    bare = not draft.principles
    asked: dict[tuple[str, str], str | None] = {}
    for example in examples:
        key = _plain(example.critique_request), _plain(example.revision_request)
        if key not in asked and bare:
            asked[key] = draft.revised_by(example.critique_request, example.revision_request)
        principle = asked[key] if bare else _nearest(draft, example)
        if principle is not None:
            kept = {key: getattr(example, key) for key in _KEPT}
            draft.few_shot.append(FewShotExample(principle=principle, **kept))


def _nearest(draft: ConstitutionDraft, example: _Example) -> str | None:
    """The principle whose requests share most words with the example's; what changes is noted."""
    theirs = example.critique_request, example.revision_request

    def likeness(ours: tuple[str, str]) -> float:
        pairs = [(_words(a), _words(b)) for a, b in zip(ours, theirs, strict=True)]
        return sum(len(a & b) / max(1, len(a | b)) for a, b in pairs) / 2

    best = max(draft.principles, key=lambda principle: likeness(critique_text(principle)))
    named = f"the example {example.prompt[:40]!r}"
    if likeness(critique_text(best)) < _ALIKE:
        draft.notes.append(f"left out: {named}, as no principle asks like {theirs[0]!r}")
        return None
    for ours, asked in zip(critique_text(best), theirs, strict=True):
        if _plain(ours) != _plain(asked):
            words = "whose words take the place of its own"
            draft.notes.append(f"{named} was put under {best.id}, {words}: {asked!r}")
    return best.id


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def example_messages(constitution: Constitution) -> list[list[dict[str, str]]]:
    """Each few-shot example as six messages."""
    roles = ("user", "assistant") * (_TURNS // 2)
    return [
        [
            {"role": role, "content": text}
            for role, text in zip(roles, _texts(constitution, example), strict=True)
        ]
        for example in constitution.few_shot
    ]


def transcript(constitution: Constitution, example: FewShotExample) -> str:
    """One few-shot example as labelled turns."""
    texts = _texts(constitution, example)
    labelled = zip((*_CONVERSATION, *_LABELS), texts, strict=True)
    return "".join(f"\n\n{label}: {text}" for label, text in labelled) + "\n\nHuman:"


def _texts(constitution: Constitution, example: FewShotExample) -> tuple[str, ...]:
    critique, revision = critique_text(constitution.principle(example.principle))
    asked = (critique, example.critique, revision, example.revision)
    return (example.prompt, example.answer, *asked)
