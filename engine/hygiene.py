"""Is a completion fit to be used as an answer? What is wrong with it is named, never guessed away.

Only whole leading lines are ever removed (an introduction that ends in a colon, a reasoning block);
text is never split on punctuation to "parse" it.
"""

import re
from dataclasses import dataclass

from engine.generators.base import Completion
from engine.records import DropReason, Flag

__all__ = ["CleanedReply", "clean_revision", "remove_reasoning"]

_PREAMBLE = re.compile(
    r"\A\s*(?:"
    r"(?:sure|certainly|of course|absolutely|okay|ok|understood|thank you|thanks)\b[^\n]*"
    r"\b(?:here|below|following|revised|rewritten|reply|response|answer|version)\b[^\n]*"
    r"|[^\n]{0,80}\b(?:revised|revision|rewritten|improved|updated|corrected)\b[^\n]{0,80}"
    r"):\**[ \t]*\n+",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\A\s*\**(?:revised|rewritten|improved|updated|corrected)\s+(?:reply|response|answer|version)\**"
    r"\s*:\**\s*|\A\s*\**(?:revision|reply|response)\**\s*:\**\s*",
    re.IGNORECASE,
)
_REASONING = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_UNCLOSED_REASONING = re.compile(r"\A\s*<think>(?!.*</think>)", re.DOTALL)
_CRITIQUE_TALK = re.compile(
    r"\A\W*(?:critique\b|the critique\b|my (?:last|previous) (?:reply|response|answer)\b"
    r"|(?:the|this) (?:last |previous |original )?(?:reply|response|answer)"
    r" (?:falls short|fails|breaks|violates|does not|doesn't|is (?:harmful|unhelpful|problematic)))",
    re.IGNORECASE,
)
_SHARED_RUN = 120
"""Characters of critique that, repeated verbatim in a revision, count as a leak."""


@dataclass(frozen=True, slots=True)
class CleanedReply:
    """A completion's usable text, and what was noticed on the way."""

    text: str
    dropped: DropReason | None = None
    flags: tuple[Flag, ...] = ()


def remove_reasoning(text: str) -> tuple[str, bool]:
    """`text` without a leading `<think>` block, and whether there was one.

    A block that never closes is all there is: nothing of it is an answer.
    """
    if _UNCLOSED_REASONING.match(text):
        return "", True
    cleaned = _REASONING.sub("", text, count=1)
    return cleaned, cleaned != text


def clean_revision(
    completion: Completion, *, answer: str, critique: str, longest: float
) -> CleanedReply:
    """Judge a revision fit to replace `answer`, or name the reason why not.

    `longest` bounds its length, in multiples of the answer's (at least 2,000 characters are always
    allowed, since a refusal rewritten as help is rightly longer).
    """
    text, reasoned = remove_reasoning(completion.text)
    flags = [Flag.REASONING_REMOVED] if reasoned else []
    stripped = _LABEL.sub("", _PREAMBLE.sub("", text, count=1), count=1).strip()
    if stripped != text.strip():
        flags.append(Flag.PREAMBLE_REMOVED)
    dropped = _unfit(stripped, completion, answer, critique, longest)
    return CleanedReply(stripped, dropped, tuple(flags))


def _unfit(
    text: str, completion: Completion, answer: str, critique: str, longest: float
) -> DropReason | None:
    if not text:
        return DropReason.EMPTY_REVISION
    if completion.finish_reason == "length":
        return DropReason.TRUNCATED_REVISION
    if _same(text, answer):
        return DropReason.UNCHANGED_REVISION
    if _CRITIQUE_TALK.match(text) or _leaks(text, critique, answer):
        return DropReason.CRITIQUE_LEAK
    if len(text) > max(2000.0, longest * len(answer)):
        return DropReason.OVERLONG_REVISION
    return None


def _same(left: str, right: str) -> bool:
    return " ".join(left.split()) == " ".join(right.split())


def _leaks(text: str, critique: str, answer: str) -> bool:
    """Whether a long run of the critique, not itself a quotation of the answer, is repeated."""
    critique = critique.strip()
    if _same(text, critique):
        return True
    step = _SHARED_RUN // 2
    for start in range(0, len(critique) - _SHARED_RUN + 1, step):
        run = critique[start : start + _SHARED_RUN]
        if run in text and run not in answer:
            return True
    return False
