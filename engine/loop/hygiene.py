"""Is a reply fit to be used as an answer? What is wrong with it is named, never guessed away.

Only whole leading lines are ever removed (an introduction that ends in a colon, a reasoning block);
text is never split on punctuation to "parse" it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.loop.reply import Reply
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
    r"\A\s*+\**(?:revised|rewritten|improved|updated|corrected)\s+(?:reply|response|answer|version)\**"
    r"\s*:\**\s*|\A\s*+\**(?:revision|reply|response)\**\s*:\**\s*",
    re.IGNORECASE,
)
_CRITIQUE_TALK = re.compile(
    r"\A\W*+(?:critique\W*:"
    r"|(?:the|this|your) critique (?:above|correctly|rightly|says|notes|points|identifies|raises)\b"
    r"|my (?:last|previous) (?:reply|response|answer)\b"
    r"|(?:the|this) (?:last |previous |original )(?:reply|response|answer)"
    r" (?:falls short|fails|breaks|violates|does not|doesn't|is (?:harmful|unhelpful|problematic))"
    r"|(?:the|this) (?:reply|response)"
    r" (?:falls short|fails to|breaks|violates|is (?:harmful|unhelpful|problematic)"
    r"|(?:does not|doesn't) (?:address|consider|explain|follow|help|keep|offer|provide|respect))\b"
    r"|(?:the|this) answer (?:falls short|(?:breaks|violates) the principle))",
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
    answer: str,
    critique: str,
    longest: float,
    keep_truncated: bool = False,
) -> CleanedReply:
    """Judge a revision fit to replace `answer`, or name the reason why not.

    `longest` bounds its length, in multiples of the answer's (at least 2,000 characters are always
    allowed, since a refusal rewritten as help is rightly longer). `keep_truncated` only flags one
    that ran into its token limit.
    """
    flags = [Flag.REASONING_REMOVED] if reply.reasoned else []
    stripped = _LABEL.sub("", _PREAMBLE.sub("", reply.said, count=1), count=1).strip()
    if stripped != reply.text:
        flags.append(Flag.PREAMBLE_REMOVED)
    if reply.truncated and keep_truncated:
        flags.append(Flag.TRUNCATED_REVISION)
    unfit_end = reply.truncated and not keep_truncated
    dropped = _unfit(stripped, answer, critique, longest, truncated=unfit_end)
    return CleanedReply(stripped, dropped, tuple(flags))


def _unfit(
    text: str, answer: str, critique: str, longest: float, *, truncated: bool
) -> DropReason | None:
    if not text:
        return DropReason.EMPTY_REVISION
    if truncated:
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
    leaked = set(_runs(critique, _SHARED_RUN // 2)).intersection(_runs(text))
    return bool(leaked and leaked.difference(_runs(answer)))


def _runs(text: str, step: int = 1) -> Iterator[str]:
    """Every stretch of `_SHARED_RUN` characters that begins at a multiple of `step`."""
    starts = range(0, len(text) - _SHARED_RUN + 1, step)
    return (text[start : start + _SHARED_RUN] for start in starts)
