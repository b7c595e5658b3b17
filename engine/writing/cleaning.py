"""From a writer's text to a user's message, or why it is none."""

import re
from collections.abc import Sequence

from constitution.language import is_dense, language_of
from engine.judging.refusal import RefusalKind, detect_refusal
from engine.loop.reply import Reply
from engine.loop.shingles import copies, loops
from engine.loop.voices import is_placeholder
from engine.writing.records import WriteDrop

__all__ = ["begun_with", "cleaned", "listed", "why_dropped"]

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
    r"\b(?:"
    + "|".join((
        r"as an? (?:ai|automated|virtual)\b",
        r"i(?:['’]m| am) (?:just |only )?an? (?:ai\b|computer program|(?:automated|virtual) |"
        r"customer (?:service|support))",
        r"how (?:can|may) (?:i|we) (?:help|assist)(?: you| with|\?)",
        r"i(?:['’]m| am) (?:here|happy|glad) to (?:help|assist)",
        r"thank you for (?:contacting|reaching|your kind)",
        r"dear (?:valued )?customer",
        r"(?:i|we) apologi[sz]e",
        r"(?:i|we)(?:['’]m| am|['’]re| are) (?:so |very )?sorry"
        r" (?:to hear|for (?:the|any|your) (?:inconvenience|trouble|mess|delay))",
        r"for bringing (?:this|that|it|your \w+) to (?:my|our) attention",
        r"let me know if (?:you|there)(?:['’]s| is| need| have| can)(?: any| anything| more| other"
        r"| further| else)* (?:help|assistance|questions|concerns|i can|we can)",
        r"if you need (?:any )?(?:help|assistance)",
        r"feel free to ask",
        r"anything else (?:i|we) can",
        r"(?:i can(?:['’]t|not| not)?|can i|i(?:['’]ll| will)(?: do my best to)?)(?: \w+)?"
        r" (?:help|assist) you",
        r"(?:is|['’]s) a great question",
        r"the (?:assistant|system message|customer) (?:is|does|can|cannot|may|must|will|should"
        r"|tells?|says?)",
    ))
    + r")\b",
    re.IGNORECASE,
)
"""What an assistant says and a user does not."""
_ANSWERS_ITSELF = re.compile(
    r"\?\s+(?:(?:yes|no|sure|of course|no problem)\b[,.!]"
    r"|(?:it|that|this)(?:['’]s| is| (?:might|may|could) be)(?: (?:usually|probably))? (?:because|due to)\b"
    r"|(?:it|that|this) (?:might|may|could) be\b)",
    re.IGNORECASE,
)
_DENSE_LANGUAGES = frozenset("ja km ko lo my th zh".split())
"""Whose scripts no other language's message has in it, but for a slip of the writer's."""
_TEMPLATE_FIELD = re.compile(r"\[[A-Za-z][A-Za-z '’/]{1,40}\]|\{[A-Za-z_ ]{1,40}\}")


def cleaned(reply: Reply) -> str:
    """The text without a label, a number or quotes around all of it."""
    text = _LABEL.sub("", reply.text, count=1).strip()
    if len(text) > 1 and text[0] in _QUOTES and text.endswith(_QUOTES[text[0]]):
        inner = text[1:-1]
        text = inner.strip() if text[0] not in inner else text
    return text


def begun_with(opening: str, reply: Reply) -> str:
    """The message whose first words were given: a server that cannot continue a turn writes all of it."""
    said = reply.said.rstrip()
    return said.strip() if said.lstrip().startswith(opening) else f"{opening}{said}"


def listed(text: str) -> list[str]:
    """The items of a numbered or bulleted list, without their marks; a rule (`***`, `---`) is none."""
    items = (match[1].strip().strip("*\"'“”").strip() for match in _ITEM.finditer(text))
    return [item for item in items if any(map(str.isalnum, item))]


def why_dropped(
    reply: Reply, text: str, *, language: str, shown: Sequence[str], before: str = ""
) -> WriteDrop | None:
    """The first reason why `text` is not a user's message; `shown` is what the writer read."""
    if not text:
        return WriteDrop.EMPTY
    if reply.truncated:
        return WriteDrop.TRUNCATED
    if _AS_ASSISTANT.search(text) or _ANSWERS_ITSELF.search(text):
        return WriteDrop.ANSWERED
    if language == "en" and detect_refusal(text).kind is RefusalKind.REFUSAL:
        return WriteDrop.REFUSED
    if _TEMPLATE_FIELD.search(text) or is_placeholder(text, before):
        return WriteDrop.PLACEHOLDER
    if copies(text, shown, ()):
        return WriteDrop.COPIED
    if loops(text, before):
        return WriteDrop.REPEATS_ITSELF
    if language not in _DENSE_LANGUAGES and is_dense(text):
        return WriteDrop.OTHER_LANGUAGE
    found = language_of(text)
    return WriteDrop.OTHER_LANGUAGE if found not in (None, language) else None
