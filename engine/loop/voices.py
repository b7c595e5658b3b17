"""Who speaks in a revision, and to whom: a reviewer, a transcript, a form, or an assistant.

All patterns are of English. What the user's own words are about (a reply to write, the users of a
computer, a dialogue) is not held against a revision that speaks of it.
"""

import re

__all__ = ["holds_transcript", "is_placeholder", "speaks_as_reviewer", "without_closing_note"]

_LAST = r"(?:last|previous|earlier|original|initial|first|above|given|revised|rewritten|assistant['’]?s?)"
_REPLY = (
    r"(?:(?:the|this|that)\s+(?:(?:last\s+)?reply|critique|revision|"
    rf"(?:{_LAST}\s+)+(?:reply|response|answer|message))|(?:my|your)\s+(?:{_LAST}\s+)?(?:reply"
    rf"|response|revision)"
    rf"|(?:my|your)\s+{_LAST}\s+answer)"
)
"""Named so that it can hardly be anything else; a bare response may be that of a body."""
_RESPONSE = r"(?:the|this|that)\s+(?:response|answer)"
_IS_WRONG = (
    r"(?:falls?\s+short|(?:fails|failed)\s+to|(?:breaks|violates)\b|should\s+(?:be|have|not"
    r"|instead)|could\s+(?:be|have)|leaves\s+out"
    r"|is\s+(?:harmful|unhelpful|problematic|inappropriate|unethical|misleading|vague"
    r"|(?:in)?appropriate)"
    r"|(?:does\s+not|doesn['’]t|did\s+not|didn['’]t)\s+(?:\w+ly\s+)?(?:address|acknowledge|answer"
    r"|break|consider"
    r"|assist|contain|encourage|explain|follow|help|include|promote|support|repeat|keep|meet"
    r"|mention|offer|provide|respect|take|violate|warn)"
    r"|has\s+been\s+(?:revised|rewritten|changed|updated)|was\s+(?:revised|rewritten|harmful"
    r"|inappropriate))"
)
_DOES = (
    r"(?:should|could|would|must|fails?|failed|lacks?|lacked|omits|misses|overlooks|keeps|kept"
    r"|adheres|respects|complies|suggests"
    r"|correctly|rightly|is|was|does|doesn['’]t|did|didn['’]t|has|had|needs|above|states?|stated"
    r"|says|said|notes|identifies|points|raises"
    r"|mentions|mentioned|provides|provided|offers|contains|contained|includes|included|assumes"
    r"|implies|implied|ignores|ignored|refuses|refused"
    r"|declines|declined|gives|gave|tells|told|sounds|sounded|helps|uses|used|quotes|addresses)"
)
_USER = (
    r"(?:the|this)\s+user(?:\s+(?:who\s+)?(?:\w+ly\s+)?(?:asks?|asked|wants?|wanted|requests?"
    r"|requested|seems"
    r"|appears|inquired|expressed|mentioned|stated|says|said|believes|thinks|needs|feels"
    r"|has\s+(?:asked|requested|expressed|stated|not\s+asked|already\s+(?:asked|said))"
    r"|(?:is|was|may\s+be|might\s+be)\s+(?:\w+ly\s+)*(?:asking|seeking|looking|trying|requesting"
    r"|wondering|in\s+(?:danger|distress|crisis)|angry|upset|distressed|frustrated|afraid|lonely"
    r"|grieving|struggling|feeling|considering|planning|interested|worried"
    r"|concerned))|['’]s\s+(?:request|question|message|prompt|intent(?:ion)?|query|concern|aim|goal"
    r"|purpose|need|words))\b"
)
_ASSISTANT = (
    r"the\s+assistant(?:['’]s\s+(?:last\s+|previous\s+)?(?:reply|response|answer|message|tone)"
    r"|\s+(?:\w+ly\s+)?(?:should|must|could|would|will|did|was|can(?:not)?|ought|failed|never"
    r"|refused?|provided?|gave|offered|said|suggested|recommended|claimed|stated|\w*[^\W_s]s))\b"
)
_NO_CHANGE = (
    r"(?:no\s+(?:revisions?|changes?|rewriting|rewrite|criticism|violations?)\s*(?:is|are|was|were|"
    r"needed|necessary|required|[.!]?\Z)"
    r"|(?:this|the)\s+principle\s+does\s+not\s+apply\b|(?:it|this)\s+does\s+not\s+apply[.!]?\Z"
    r"|there\s+(?:is|are)\s+(?:no|nothing)\s+(?:\w+\s+)?(?:criticisms?|violations?"
    r"|to\s+(?:critici[sz]e|revise))\b)"
)
_APOLOGY = (
    r"(?:i\s+(?:apologi[sz]e|am\s+sorry)|i['’]m\s+sorry|sorry|my\s+apologies"
    r"|apologies)\s+for\s+(?:\w+\s+){0,2}?"
    r"(?:confusion|misunderstanding|oversight|mistake|error|inconvenience|previous|earlier|last)\b"
)
_START = r"(?:\A[\s*_\"“>#-]*+|[.!?:][\"”*)]{0,3}\s++|\n[^\S\n]*+[*>-]{0,3}[^\S\n]*+)"
_OF_USER = re.compile(rf"{_START}{_USER}", re.IGNORECASE)
_OF_ASSISTANT = re.compile(
    rf"{_START}{_ASSISTANT}|,\s(?:but|and|so|while)\s{_ASSISTANT}|\bfor\s+the\s+assistant\s+to\b",
    re.IGNORECASE,
)
_OF_CONVERSATION = re.compile(
    rf"{_START}(?:the|this)\s+(?:conversation|transcript)\s+(?:does\s+not|doesn['’]t|did\s+not"
    r"|didn['’]t|provides|contains|shows|gives|mentions|lacks|is|was)\b",
    re.IGNORECASE,
)
_OF_REPLY = re.compile(
    rf"{_START}(?:{_REPLY}\s+(?:{_DOES}|{_IS_WRONG})\b|(?:my|your)\s+{_LAST}\s+(?:reply"
    rf"|response)\b|{_RESPONSE}\s+{_IS_WRONG}|in\s+{_REPLY}\b|the\s+request\s+(?:(?:is"
    rf"|was)\s+about|(?:(?:is|was)\s+)?to\s+(?!the\b|an?\b))|rewrite\s+(?:the|your"
    rf"|my)\s+(?:last\s+)?"
    r"(?:reply|response|answer)\b|as\s+(?:revised|rewritten)\b"
    r"|here(?:['’]s|\s+is)\s+(?:an?|the|my|your)\s+(?:revised|rewritten|updated|improved)"
    r"\s+(?:reply|response|answer|version)\b)",
    re.IGNORECASE,
)
_OF_PRINCIPLE = re.compile(
    r"\b(?:keep(?:s|ing)?|break(?:s|ing)?|violat(?:e|es|ed|ing)|adher(?:es?|ing)\s+to|follow(?:s"
    r"|ing)?"
    r"|align(?:s|ed|ing)?\s+with|compl(?:y|ies|ying)\s+with|in\s+line\s+with|according\s+to|of"
    r"|uphold(?:s|ing)?|me(?:ets?|eting|t))"
    r"\s+(?:the|this|that|your)\s+principle\b(?!s)(?!\s+of)",
    re.IGNORECASE,
)
_OPENING = re.compile(rf"\A[*_\"“>#-]{{0,4}}(?:{_NO_CHANGE}|{_APOLOGY})", re.IGNORECASE)
_CRITIQUE_LABEL = re.compile(r"^[^\w\n]*+critique\W{0,4}:", re.IGNORECASE | re.MULTILINE)

_SUBJECTS = {
    _OF_USER: re.compile(r"\busers?\b", re.IGNORECASE),
    _OF_ASSISTANT: re.compile(r"\bassistants?\b", re.IGNORECASE),
    _OF_CONVERSATION: re.compile(r"\b(?:conversations?|transcripts?)\b", re.IGNORECASE),
    _OF_REPLY: re.compile(
        r"\b(?:repl(?:y|ies)|responses?|answer|revision|critique|requests?)\b", re.IGNORECASE
    ),
    _OF_PRINCIPLE: re.compile(r"\bprinciples?\b", re.IGNORECASE),
}
"""Ways to speak as a reviewer, and the user's words that make them ordinary."""


def speaks_as_reviewer(text: str, said: str, *, first_turn: bool) -> bool:
    """Whether `text` speaks of the reply, the user or the principle as a reviewer would. `said` is
    what the user said; on the `first_turn` there is nothing yet to apologise for."""
    if _CRITIQUE_LABEL.search(text) or (first_turn and _OPENING.match(text)):
        return True
    return any(
        way.search(text) is not None and not subject.search(said)
        for way, subject in _SUBJECTS.items()
    )


_TAGS = re.compile(
    r"</?(?:conversation|reply(?:_[ab])?|user|assistant|system|critique|revision|revised_reply)>"
    r"|<\|[a-z_]{2,20}\|>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"^[^\S\n]*[*#_\[(]{0,4}[^\S\n]?(?:user|human|assistant|ai|critic|reviewer"
    r"|reviser)[*_\])]{0,4}[^\S\n]*:[*_]{0,4}"
    r"(?:[^\S\n]*$|[^\S\n]+\S+[^\S\n]+\S)",
    re.IGNORECASE | re.MULTILINE,
)
_DIALOGUE = re.compile(
    r"\b(?:dialog(?:ue)?s?|conversations?|scripts?|scenes?|chats?|transcripts?|interviews?"
    r"|role-?play(?:ing)?|story|stories|sketch|skit|play|html|xml|tags?|prompts?)\b"
    r"|^[^\w\n]*+(?:user|human|assistant)[^\S\n]*+:",
    re.IGNORECASE | re.MULTILINE,
)


def holds_transcript(text: str, said: str) -> bool:
    """Whether turns or tags of a transcript stand in `text`, and the user did not ask for any."""
    return not _DIALOGUE.search(said) and bool(_TAGS.search(text) or _TURNS.search(text))


_PLACEHOLDER = re.compile(
    r"\A\W*+(?:insert|write|your|the|revised|new|rewritten|put)\b[^\n]{0,40}\b(?:reply|response"
    r"|answer|revision|text)"
    r"(?:\s+(?:goes\s+)?here)?\W*\Z"
    r"|\A\s*[\[<{(][^\[\]<>{}()\n]{3,200}[\]>})]\W*\Z"
    r"|[\[<{](?:please\s+)?(?:insert|your|revised|write|add|rewritten|new)\b[^\[\]<>{}\n]{0,60}"
    r"\b(?:reply|response|answer|revision)\b[^\[\]<>{}\n]{0,40}[\]>}]"
    r"|\b(?:revised|rewritten|new)\s+(?:reply|response|answer)\s+(?:goes\s+)?here\b",
    re.IGNORECASE,
)
_SLOT = re.compile(
    r"\[(?:please\s+)?(?:insert|your|describe|add|specify|name\s+of)\b[^\[\]\n]{0,60}\]"
    r"|\[[^\[\]\n]{0,40}\b(?:names?|numbers?|phone|address|date|reason|amount|price"
    r"|link)\b[^\[\]\n]{0,40}\]"
    r"(?!\()",
    re.IGNORECASE,
)
_FORM = re.compile(
    r"\b(?:write|draft|templates?|letters?|e-?mails?|note|messages?|form|invitation|speech|post|cv"
    r"|resume|essay|bio)\b",
    re.IGNORECASE,
)


def is_placeholder(text: str, said: str) -> bool:
    """Whether `text` holds a place for a reply instead of being one, or has slots to fill in where
    the user did not ask for something that has them (a letter, a template)."""
    return bool(_PLACEHOLDER.search(text) or (_SLOT.search(text) and not _FORM.search(said)))


_NOTE = re.compile(
    r"\A[\s*_(\[]*+(?:(?:please\s+)?note|revision\s+note|explanation|rationale"
    r"|changes(?:\s+made)?)\b"
    r"\W{0,4}(?=[^\n]*\b(?:revis(?:ed|ion)|rewr(?:ote|itten)|repl(?:y|ies)|response|answer|critique"
    r"|principle|i(?:\s+have|['’]ve)?\s+(?:removed|changed|replaced|added)))"
    r"|\A[\s*_(\[]*+(?:this|the)\s+(?:revised|rewritten|updated|new)\s+(?:reply|response|answer"
    r"|version)\b",
    re.IGNORECASE,
)


def without_closing_note(text: str) -> str:
    """`text` without a last paragraph about the revision itself ("Note: I have revised ...")."""
    body, _, last = text.rpartition("\n\n")
    return body.rstrip() if body.strip() and _NOTE.match(last) else text
