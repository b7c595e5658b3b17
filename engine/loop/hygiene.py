"""Is a reply fit to be used as an answer? What is wrong with it is named, never guessed away.

Only whole lines are ever removed: an introduction that ends in a colon, a reasoning block, a closing
paragraph about the revision itself.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.loop.languages import speaks_another_language
from engine.loop.reply import Reply
from engine.loop.shingles import copies, echoes, loops
from engine.loop.voices import (
    holds_transcript,
    is_placeholder,
    speaks_as_reviewer,
    without_closing_note,
)
from engine.messages import Conversation
from engine.records import DropReason, Flag

__all__ = ["CleanedReply", "clean_revision"]

_PREAMBLE = re.compile(
    r"\A\s*+(?:"
    r"(?:sure|certainly|of course|absolutely|okay|ok|understood|thank you|thanks)\b"
    r"(?=[^\n]*\b(?:here|below|following|revised|rewritten|reply|response|answer|version)\b)[^\n]*"
    r"|[^\n]{0,80}\b(?:revised|rewritten|improved|updated|corrected)\s+"
    r"(?:reply|response|answer|version|text)\b[^\n]{0,80}"
    r"|(?:here(?:['’]s| is)|below is) (?:a|my|the) revision"
    r"):\**[ \t]*\n+",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\A\s*+\**(?:revised|rewritten|improved|updated|corrected)\s+(?:reply|response|answer"
    r"|version)\**"
    r"\s*:\**\s*|\A\s*+\**(?:revision|reply|response|assistant)\**\s*:\**\s*",
    re.IGNORECASE,
)
_SHARED_RUN = 120
"""Characters of critique that, repeated verbatim in a revision, count as a leak."""


@dataclass(frozen=True, slots=True)
class CleanedReply:
    """A reply's usable text, and what was noticed on the way."""

    text: str
    dropped: DropReason | None = None
    flags: tuple[Flag, ...] = ()


def clean_revision(
    reply: Reply,
    *,
    prompt: Conversation,
    answer: str,
    critique: str,
    requests: Sequence[str],
    longest: float,
    keep_truncated: bool = False,
) -> CleanedReply:
    """Judge a revision fit to replace `answer` to `prompt`, or name the reason why not.

    `requests` are the texts put to the critic and the reviser besides the conversation, the reply
    and the critique: the wording of the request, the principle, examples. `longest` bounds the
    length, in multiples of the answer's (at least 2,000 characters are always allowed, since a
    refusal rewritten as help is rightly longer). `keep_truncated` only flags one that ran into its
    token limit.
    """
    flags = [Flag.REASONING_REMOVED] if reply.reasoned else []
    stripped = _LABEL.sub("", _PREAMBLE.sub("", reply.said, count=1), count=1).strip()
    if stripped != reply.text:
        flags.append(Flag.PREAMBLE_REMOVED)
    text = without_closing_note(stripped)
    if text != stripped:
        flags.append(Flag.NOTE_REMOVED)
    if reply.truncated and keep_truncated:
        flags.append(Flag.TRUNCATED_REVISION)
    dropped = _unusable(text, answer, longest, truncated=reply.truncated and not keep_truncated)
    dropped = dropped or _unfit(text, prompt, answer, critique, requests)
    return CleanedReply(text, dropped, tuple(flags))


def _unusable(text: str, answer: str, longest: float, *, truncated: bool) -> DropReason | None:
    """What is wrong with a revision whatever it says."""
    if not text:
        return DropReason.EMPTY_REVISION
    if truncated:
        return DropReason.TRUNCATED_REVISION
    if _same(text, answer):
        return DropReason.UNCHANGED_REVISION
    return DropReason.OVERLONG_REVISION if len(text) > max(2000.0, longest * len(answer)) else None


def _unfit(
    text: str, prompt: Conversation, answer: str, critique: str, requests: Sequence[str]
) -> DropReason | None:
    """What a reader would object to: the first of these, the plainest before the others."""
    turns = [message.content for message in prompt if message.role != "system"]
    said = "\n".join(message.content for message in prompt if message.role == "user")
    question = turns[-1] if turns else ""
    shown = "\n".join(turns)
    if is_placeholder(text, said):
        return DropReason.PLACEHOLDER
    if holds_transcript(text, said):
        return DropReason.HOLDS_TRANSCRIPT
    if _leaks(text, critique, answer):
        return DropReason.CRITIQUE_LEAK
    if copies(text, requests, (*turns, answer)):
        return DropReason.COPIED_REQUEST
    if speaks_as_reviewer(text, said, first_turn=len(turns) < 2):
        return DropReason.SPEAKS_AS_REVIEWER
    if echoes(text, question, answer):
        return DropReason.ECHOES_PROMPT
    if loops(text, shown):
        return DropReason.REPEATS_ITSELF
    if speaks_another_language(text, said, answer):
        return DropReason.OTHER_LANGUAGE
    return None


def _same(left: str, right: str) -> bool:
    return " ".join(left.split()) == " ".join(right.split())


def _leaks(text: str, critique: str, answer: str) -> bool:
    """Whether a long run of the critique, not itself a quotation of the answer, is repeated."""
    critique = critique.strip()
    if _same(text, critique):
        return True
    leaked = set(_runs(critique, _SHARED_RUN // 2)).intersection(_runs(text))
    return bool(leaked and leaked.difference(_runs(answer)))


def _runs(text: str, step: int = 1) -> Iterator[str]:
    """Every stretch of `_SHARED_RUN` characters that begins at a multiple of `step`."""
    starts = range(0, len(text) - _SHARED_RUN + 1, step)
    return (text[start : start + _SHARED_RUN] for start in starts)
