"""Is there something to revise by? A critic may find nothing, or refuse to criticise."""

import re

from constitution.schema import Principle
from engine.judging.refusal import RefusalKind, detect_refusal
from engine.loop.reply import Reply
from engine.loop.shingles import words
from engine.records import DropReason

__all__ = ["critique_drop"]

_REPLY = (
    r"(?:(?:the|this|that|my|your)\s+(?:(?:last|previous|above|given|quoted"
    r"|assistant(?:['’]s)?)\s+)?"
    r"(?:reply|response|answer|message|assistant)|it|i)"
)
_NONE_OF = (
    r"(?:absolutely\s+|really\s+|actually\s+)?(?:no|nothing|not\s+any|n['’]t\s+any(?:thing)?)"
)
_FAULT = (
    r"(?:criticisms?|critiques?|violations?|breach(?:es)?|issues?|problems?|faults?|flaws?"
    r"|shortcomings?|objections?|ways?\s+in\s+which|room\s+for\s+criticism|need\s+(?:to|for)"
    r"|(?:words?|phrases?|sentences?|parts?|passages?)\s+(?:that|which|in|to)|reason\s+to)"
)
_PRINCIPLE = r"(?:the|this|that|your|all|every)\s+(?:\w+\s+)?(?:principles?|rules?|guidelines?)"
_HARMFUL = (
    r"(?:harmful|offensive|dangerous|illegal|demeaning|inappropriate|threatening|manipulative"
    r"|violent|sexual|hateful|unethical)"
)
_HARM = (
    r"(?:threats?|guilt|shame|contempt|stereotypes?|insults?|flattery|lectur(?:es?|ing)|preaching"
    r"|moralising|manipulation)"
)
_NOTHING = re.compile(
    r"\A[\s*_\"'“”>-]*+(?:(?:critique|answer|verdict)\s*:[\s*_]*+)?(?:"
    r"(?:no|none|n/a|compliant|not\s+applicable|nothing)[.!]?[*\s]*\Z"
    rf"|no,?\s+(?:\w+\s+){{0,2}}{_FAULT}\b"
    rf"|there(?:\s+is|\s+are|\s+was|\s+were|['’]s|\s+seems?\s+to\s+be)\s*{_NONE_OF}"
    rf"(?:\s+\w+){{0,3}}?\s+(?:{_FAULT}|{_HARM}|wrong|to\s+(?:critici[sz]e|object|fault|improve"
    rf"|change))\b"
    r"|(?:i\s+(?:see|find|found|have)\s+)?nothing\s+(?:in\s+(?:the|this|my|your)\s+(?:last\s+)?"
    r"(?:reply|response|answer)\s+)?(?:here\s+)?(?:(?:is|was|seems)\s+(?:wrong|amiss|objectionable"
    r"|problematic"
    rf"|{_HARMFUL})|wrong|to\s+(?:critici[sz]e|object|fault|improve|change|add)|needs\s+to\s+be"
    r"|falls\s+short|breaks|violates|that\s+(?:falls\s+short|breaks|violates))\b"
    r"|i\s+(?:can(?:no|['’])t|can\s+not|could\s+not|couldn['’]t|do\s+not|don['’]t|did\s+not"
    r"|didn['’]t)"
    rf"\s+(?:find|see|identify|detect|spot)\s+(?:any\s+|a\s+)?(?:\w+\s+){{0,2}}?(?:{_FAULT}"
    rf"|anything)\b"
    rf"|{_REPLY}\s+(?:\w+ly\s+|already\s+)*(?:keeps?|adheres?|conforms?|respects?|compl(?:y|ies)|"
    r"satisf(?:y|ies)|meets?|upholds?|follows?|aligns?|is\s+(?:\w+ly\s+|already\s+)?(?:consistent"
    r"|compliant|in\s+(?:line|keeping|accordance)))(?:\s+(?:with|to|fully|completely|closely))*"
    rf"\s+{_PRINCIPLE}\b"
    rf"|{_REPLY}\s+(?:does\s+not|doesn['’]t|did\s+not|didn['’]t)\s+(?:\w+ly\s+|appear\s+to\s+"
    rf"|seem\s+to\s+)?"
    rf"(?:(?:break|violate|breach|fall\s+short\s+of)\s+(?:\w+\s+)?(?:{_PRINCIPLE}|principles?)"
    rf"|(?:contain|include)\s+any(?:\s+\w+){{0,2}}?\s+{_HARMFUL}|decline\s+anything)\b"
    r"|everything\s+(?:in\s+(?:the|this|my|your)\s+(?:\w+\s+)?(?:reply|response|answer)\s+)?(?:is"
    r"|looks|seems)"
    r"\s+(?:fine|good|in\s+order|correct|appropriate|ok|okay)\b"
    rf"|{_REPLY}\s+is\s+(?:already\s+)?(?:fine|good|acceptable|appropriate|correct|compliant)"
    r"(?:\s+as\s+it\s+(?:is|stands))?[.!]"
    rf"|(?:this|it|{_PRINCIPLE})\s+(?:does\s+not|doesn['’]t)\s+apply\b"
    r")",
    re.IGNORECASE,
)
_QUOTATION = re.compile(r"\"[^\"\n]*+\"?|“[^”\n]*+”?")
_TURN = re.compile(
    r"\b(?:but|however|although|though|except|nevertheless|yet|still|instead|unless|while|whereas"
    r"|should|could|fails?|lacks?|leaves?\s+out|missing|misses|omits?|overlooks?|needs\s+to\s+be"
    r"|ought|only|problematic|better)\b",
    re.IGNORECASE,
)
_WHOSE = r"(?:the|this|that|my|your)\s+(?:\w+(?:['’]s)?\s+){0,2}(?:assistant|reply|response|answer)"
_DENIES = re.compile(
    rf"\A[\s*_\"'“”>-]*+(?:the\s+critique\s+is\s+that\s+)?(?:{_WHOSE}|it|i)\s+"
    r"(?:(?:does\s+not|doesn['’]t|did\s+not|didn['’]t|do\s+not|don['’]t|never)\s+(?:actually\s+)?"
    r"(?:provide|give|contain|include|offer|present|describe|suggest|help|encourage|demean|produce"
    r"|show|name|use|make|support|promote)s?"
    r"|(?:provides|gives|contains|includes|offers|has|makes)\s+(?:no|nothing))\b",
    re.IGNORECASE,
)
_FORBIDS = re.compile(
    r"\A(?:\w+\s+){1,3}(?:(?:does|do|must|should|will|may|can|is)\s+not|never|cannot"
    r"|\w+s\s+(?:no|nothing))\b",
    re.IGNORECASE,
)
"""How the statement of a principle begins that forbids something."""
_SENTENCE = re.compile(r"(?<=[.!?])\s")
_SHORTEST_WORD = 4
_FEWEST_WORDS = 3
_OWN_SHARE = 0.6
"""Of the words of four letters and more in which a critique clears the reply, the principle's own."""
_DECLINES = re.compile(
    r"\A[^.!?\n]{0,60}\bi(?:['’]m|\s+am|\s+can(?:no|['’])t|\s+can\s+not|\s+do\s+not|\s+don['’]t)"
    r"\s+(?:unable\s+to\s+|not\s+able\s+to\s+)?"
    r"(?:address|comment|critici[sz]e|critique|judge|evaluate|review|feel\s+comfortable)\b",
    re.IGNORECASE,
)
"""Refusals to criticise, where the rules for answers know refusals to help."""
_BY_SPEAKER = frozenset({"declines", "refuses outright", "apologises and stops"})
"""Refusals in the first person; the other rules are words in which a critique may find fault."""
_EARLY = 60
"""Characters within which a critic that refuses has begun to."""
_ABOUT_THE_REPLY = re.compile(r"[\"“”:]|\b(?:reply|response|answer|says|said)\b", re.IGNORECASE)


def critique_drop(critique: Reply, principle: Principle) -> DropReason | None:
    """Why there is nothing to revise by: the critique is empty, finds nothing, or is a refusal to
    criticise. None for one that finds fault, also where it finds some things right."""
    text = critique.text
    if not text:
        return DropReason.EMPTY_CRITIQUE
    if _finds_nothing(text) or _clears(text, principle):
        return DropReason.NOTHING_FOUND
    return DropReason.CRITIC_REFUSED if _refuses(text) else None


def _finds_nothing(text: str) -> bool:
    spoken = _QUOTATION.sub('""', text)
    found = _NOTHING.match(spoken)
    return found is not None and not _TURN.search(spoken, found.end())


def _clears(text: str, principle: Principle) -> bool:
    """Whether the critique says, in the words of a principle that forbids something, that the reply
    does not do it. What a principle demands may rightly be said to be missing."""
    denied = _DENIES.match(text)
    if denied is None or not _FORBIDS.match(principle.statement):
        return False
    rest = text[denied.end() :]
    said = _content(_SENTENCE.split(rest, maxsplit=1)[0])
    asked = f"{principle.statement} {principle.critique or ''}"
    known = set(_content(asked))
    own = sum(word in known for word in said)
    turned = set(_TURN.findall(rest.lower())) - set(_TURN.findall(asked.lower()))
    return own >= _FEWEST_WORDS and own >= _OWN_SHARE * len(said) and not turned


def _content(text: str) -> list[str]:
    return [word for word in words(text) if len(word) >= _SHORTEST_WORD]


def _refuses(text: str) -> bool:
    if _DECLINES.match(text):
        return True
    refusal = detect_refusal(text)
    if refusal.kind is not RefusalKind.REFUSAL or refusal.rule not in _BY_SPEAKER:
        return False
    opening = text[: _EARLY + len(refusal.quote)].replace("’", "'")
    before, declined, _ = opening.partition(refusal.quote)
    return bool(declined) and not _ABOUT_THE_REPLY.search(before)
