"""From a writer's text to a user's message, or why it is none."""

import re
from collections.abc import Sequence

from constitution.language import language_of
from engine.judging.refusal import RefusalKind, detect_refusal
from engine.loop.reply import Reply
from engine.loop.shingles import copies, loops
from engine.loop.voices import is_placeholder
from engine.writing.records import WriteDrop

__all__ = ["cleaned", "listed", "why_dropped"]

_LABEL = re.compile(
    r"\A\s*+(?:(?:sure|certainly|of course|okay|here(?:['’]s| is))\b[^\n:]{0,120}:\s*+)?"
    r"(?:\*{0,2}(?:next |new |user(?:['’]s)? |customer(?:['’]s)? )*"
    r"(?:message|user|customer|prompt|question|text)\*{0,2}\s*+:\*{0,2}\s*+)?"
    r"(?:\d{1,2}[.)]\s+|[-*•]\s+)?",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^[ \t]*+(?:\d{1,2}[.):]|[-*•])[ \t]*+(\S[^\n]*+)", re.MULTILINE)
_QUOTES = {'"': '"', "“": "”", "„": "“", "'": "'", "«": "»", "`": "`"}
_AS_ASSISTANT = re.compile(
    r"\b(?:as an? (?:ai|automated|virtual)\b|how (?:can|may) i (?:help|assist) you"
    r"|i(?:['’]m| am) (?:here|happy|glad) to (?:help|assist)|thank you for (?:contacting|reaching)"
    r"|dear (?:valued )?customer|we apologi[sz]e|i apologi[sz]e for|how (?:can|may) we help"
    r"|please let me know if you (?:need|have)|for bringing (?:this|that|it|your \w+) to (?:my|our) attention)\b",
    re.IGNORECASE,
)
_TEMPLATE_FIELD = re.compile(r"\[[A-Za-z][A-Za-z '’/]{1,40}\]|\{[A-Za-z_ ]{1,40}\}")


def cleaned(reply: Reply) -> str:
    """The text without a label, a number or quotes around all of it."""
    text = _LABEL.sub("", reply.text, count=1).strip()
    if len(text) > 1 and text[0] in _QUOTES and text.endswith(_QUOTES[text[0]]):
        inner = text[1:-1]
        text = inner.strip() if text[0] not in inner else text
    return text


def listed(text: str) -> list[str]:
    """The items of a numbered or bulleted list, without their marks."""
    return [match[1].strip().strip("*\"'“”").strip() for match in _ITEM.finditer(text)]


def why_dropped(
    reply: Reply, text: str, *, language: str, shown: Sequence[str], before: str = ""
) -> WriteDrop | None:
    """The first reason why `text` is not a user's message; `shown` is what the writer read."""
    if not text:
        return WriteDrop.EMPTY
    if reply.truncated:
        return WriteDrop.TRUNCATED
    if _AS_ASSISTANT.search(text):
        return WriteDrop.ANSWERED
    if language == "en" and detect_refusal(text).kind is RefusalKind.REFUSAL:
        return WriteDrop.REFUSED
    if _TEMPLATE_FIELD.search(text) or is_placeholder(text, before):
        return WriteDrop.PLACEHOLDER
    if copies(text, shown, ()):
        return WriteDrop.COPIED
    if loops(text, before):
        return WriteDrop.REPEATS_ITSELF
    found = language_of(text)
    return WriteDrop.OTHER_LANGUAGE if found not in (None, language) else None
