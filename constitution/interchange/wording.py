"""Names and sentences that other formats lack: derived by rule, and recognised on the way back."""

import re
from collections.abc import Collection

from constitution.schema import Principle, slug

__all__ = [
    "compares",
    "critique_text",
    "only_own_words",
    "own_statement",
    "preference_text",
    "statement_for_choice",
    "statement_for_revision",
    "unique_slug",
]

_IDENTIFY = "Identify specific ways in which the last reply falls short of this principle: "
_REWRITE = "Rewrite the last reply so that it fully keeps this principle: "
_PREFER = "Choose the response that keeps this principle better: "
_MEETS = "The assistant's reply already meets this request: "
_CHOSEN = "Among several replies, the assistant gives the one to pick here: "

_REMOVES = re.compile(
    r"\A(?:please )?(?:rewrite|revise|amend|edit) (?:the |your )?(?:assistant(?:['’]s)? )?(?:last )?"
    r"(?:response|reply|answer)(?: so as)? to remove (?:any and all |all |any )?"
    r"(?P<what>(?=[^.;]*\bcontent(?:\.?\Z| that is [^.;]|, including [^.;]))[^.;]+)\.?",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"\A(?:please )?(?:choose|select|prefer|pick) the (?:assistant )?(?:response|reply|answer|one)"
    r" (?:that|which)(?P<is>['’]s)? (?P<what>[^.?!]+)\.?",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"\A(?:please )?(?:choose|select|prefer|pick|which)\b|\bOptions:\s*+\Z", re.IGNORECASE
)
_STOP_WORDS = frozenset(
    "a all already amend an and any are as assistant assistants at be been being better but by "
    "carefully choose content do does for from give gives has have holds how human humans identify if in "
    "is it its last less make meets more most new no not of on one option or please possible prefer "
    "preceding principle remove reply replies request response responses revise rewrite say says "
    "select should so some specific that the their them these they this to trace use was way ways "
    "were what when where which who will with without would write you your i my me am".split()
)
_WORD = re.compile(r"[a-z0-9]+")
_ID_WORDS = 4


def compares(text: str) -> bool:
    """Whether a text asks which of several replies is to be chosen."""
    return bool(_COMPARES.search(text))


def unique_slug(text: str, taken: Collection[str], *, from_words: bool = False) -> str:
    """An id that is not `taken`; `from_words` picks the first telling words of a sentence.

    It depends on the text and not on where it stands, so that it survives reordering a file.
    """
    if from_words:
        words = _WORD.findall(text.lower().replace("'", "").replace("’", ""))
        telling = [word for word in words if word not in _STOP_WORDS] or words
        text = " ".join(dict.fromkeys(telling[:_ID_WORDS]))
    base = slug(text) or "principle"
    number, id = 1, base
    while id in taken:
        number += 1
        id = f"{base}-{number}"
    return id


def statement_for_revision(revision: str) -> str:
    """What a reply keeps that this request for a revision would leave as it is."""
    removes = _REMOVES.fullmatch(revision)
    if removes:
        return f"The assistant's reply holds no {removes['what']}."
    return _MEETS + revision


def statement_for_choice(preference: str) -> str:
    """What a reply keeps that this comparison would choose."""
    choice = _CHOICE.fullmatch(preference)
    if choice:
        verb = "is " if choice["is"] else ""
        return f"The assistant gives a reply that {verb}{choice['what'].strip()}."
    return _CHOSEN + preference


def critique_text(principle: Principle) -> tuple[str, str]:
    """The request for a critique and for a revision: the principle's own, or from its statement."""
    return (
        principle.critique or _IDENTIFY + principle.statement,
        principle.revision or _REWRITE + principle.statement,
    )


def preference_text(principle: Principle) -> str:
    """The comparison: the principle's own, or from its statement."""
    return principle.preference or _PREFER + principle.statement


def own_statement(text: str) -> str | None:
    """The statement that `text` puts in a frame of ours, if it is one that was exported so."""
    for frame in (_IDENTIFY, _REWRITE, _PREFER):
        if text.startswith(frame):
            return text.removeprefix(frame)
    return None


def only_own_words(text: str, statement: str) -> str | None:
    """`text`, or None if it says no more than its `statement` in a frame of ours."""
    return None if own_statement(text) == statement else text
