"""Rules that look at one principle alone."""

import re
from collections.abc import Iterator
from itertools import product
from statistics import fmean

from constitution.checks import failures
from constitution.lint.findings import Found, LintFinding, found
from constitution.lint.likeness import likeness, words
from constitution.schema import Principle
from constitution.text_measures import count_words
from constitution.yaml_source import Location, YamlSource

__all__ = ["principle_findings"]

_LONGEST = 60
"""Words of a statement (of Chinese and Japanese: characters); longer ones are read as several demands
by people and models alike."""
_FEWEST_WORDS = 4
_ALIKE = 0.9
_MEND = "correct the check or the answer"
_TIMES_LONGER = 4.0

_SENTENCE = re.compile(r"[.!?][\"')\]]*\s+(?=[A-Z])")
_JOINED = re.compile(
    r"\b(?:and|but) (?:also|never|always|must|should|does not|doesn't|it (?:does|never|must)"
    r"|the assistant)\b|\bas well as\b|\bin addition\b",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(
    r"\A(?:the (?:assistant|model|reply|ai)\s+)?(?:does not|doesn't|do not|don't|never|must not"
    r"|should not|shouldn't|will not|won't|cannot|avoids?|refrains? from)\b",
    re.IGNORECASE,
)
_COMPARES = re.compile(
    r"\bwhich (?:of the (?:two )?)?(?:response|reply|replies|answer|option)s?\b"
    r"|\b(?:choose|pick|select|prefer) (?:the|a|one)\b[^.?!]{0,30}\b(?:response|reply|answer|option)\b"
    r"|\b(?:than|of) the other (?:response|reply|answer|one)\b|\bbetter of the two\b"
    r"|\bthe (?:most|least|more|less) \w+ (?:response|reply|answer|option)\b"
    r"|\bof these (?:two )?(?:responses|replies|answers)\b|\boptions?:\s*\(?A\)?",
    re.IGNORECASE,
)
_COMPARATIVE = re.compile(
    r"\b(?:which|more|less|most|least|better|best|worse|worst|prefer|rather|choose|fewer|than)\b"
    r"|\b\w{3,}er\b",
    re.IGNORECASE,
)
_VAGUE = frozenset(
    "good bad nice ethical moral proper properly appropriate appropriately right wrong well best "
    "responsible responsibly reasonable reasonably sensible correct correctly acceptable".split()
)
_FILLING = frozenset(
    "the a an assistant model ai reply is are be being behave behaves act acts always should must "
    "to and or in of its all at way ways times does do it every".split()
)
_PLACEHOLDER = re.compile(
    r"\b(?:TODO|FIXME|TBD|XXX)\b|lorem ipsum|\b(?:fill in|insert) (?:here|text|this)\b|\A\W*\Z"
    r"|\A(?:\.\.\.|…)|<(?:your|insert)[^>]{0,80}>|\[(?:your|insert|describe)[^\]]{0,80}\]",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"\{\{|\}\}|\{%|<\|\w+\|>|\$\{\w+\}|\{(?:answer|prompt|response|reply|question|input)\}"
)
_HEADING = re.compile(
    r"\b(?:Critique|Revision)\s?Request:|(?:\A|\n)[^\S\n]*(?:Critique|Revision|Human|Assistant|User):"
    r"|(?:Critique|Revision):\s*\Z"
)
_SHOUT = re.compile(r"\b[A-Z]{3,}(?:\W+[A-Z]{2,}){2,}\b|!{2,}|\b(?:NEVER|ALWAYS|MUST|NOT|DO NOT)\b")
_ASKS_REWRITING = re.compile(r"\A(?:please )?(?:rewrite|revise|rephrase|write the reply)\b", re.I)
_ASKS_CRITIQUE = re.compile(
    r"\A(?:please )?(?:identify|discuss|explain (?:how|why|in what)|list (?:the|every|all)|quote"
    r"|find (?:every|all|the)|critique|does|is|say (?:whether|how|in))\b",
    re.I,
)


def principle_findings(source: YamlSource, at: Location, p: Principle) -> Iterator[LintFinding]:
    """Of the principle `p`, which stands at `at` in `source`."""
    for rule in (_statement, _texts, _fields, _tests, _checked):
        for code, location, why, remedy in rule(at, p):
            yield found(code, source, location, why, remedy, key=code == "SC203")


def _statement(at: Location, p: Principle) -> Found:
    here, text = (*at, "statement"), p.statement
    count = count_words(text)
    if count > _LONGEST:
        why = f"the statement has {count} words, over {_LONGEST}"
        yield "SC101", here, why, "keep one demand, and move the rest to `critique`"
    elif len(_SENTENCE.split(text)) > 2 or ";" in text or _JOINED.search(text):
        why = "the statement makes several demands: a judge cannot say which one is broken"
        yield "SC102", here, why, "make a principle of each"
    meaning = [word for word in words(text) if word not in _FILLING]
    if not meaning or count < _FEWEST_WORDS or all(w in _VAGUE for w in meaning):
        why = "the statement is too vague to judge a reply by"
        yield "SC107", here, why, "say what the assistant does that one can see"
    if text.endswith("?"):
        why = "the statement is a question, and a judge is told to answer whether it is broken"
        yield "SC113", here, why, "say what the assistant does"
    if _NEGATIVE.match(text) and not p.revision:
        why = (
            "the statement says only what not to do (people agree more with positive wordings, "
            "models follow negative ones better: C3AI, arXiv 2502.15861)"
        )
        remedy = "keep it, and say in `revision` what to do instead"
        yield "SC103", here, why, remedy


def _texts(at: Location, p: Principle) -> Found:
    asked = {"statement": p.statement, "critique": p.critique, "revision": p.revision}
    for name, text in (*asked.items(), ("preference", p.preference)):
        if not text:
            continue
        here = (*at, name)
        if hit := _PLACEHOLDER.search(text):
            why = f"`{name}` holds a placeholder ({hit[0].strip() or text!r})"
            yield "SC108", here, why, "write it, or leave the field out"
        if hit := _TEMPLATE.search(text):
            why = f"`{name}` holds template syntax ({hit[0]}), which models read as it stands"
            yield "SC109", here, why, "write plain text: Solon adds the conversation"
        if hit := _HEADING.search(text):
            why = f"`{name}` holds a heading of another format ({hit[0].strip()})"
            yield "SC110", here, why, "leave it out: Solon frames each request"
        if hit := _SHOUT.search(text):
            why = f"`{name}` shouts ({hit[0].strip()[:40]})"
            yield "SC111", here, why, "write it plainly"
        if name != "preference" and _COMPARES.search(text):
            why = f"`{name}` compares replies, but there is only one to look at"
            yield "SC104", here, why, "move the comparison to `preference`"


def _fields(at: Location, p: Principle) -> Found:
    if p.preference and not _COMPARATIVE.search(p.preference):
        why = "`preference` compares nothing, and the judge has two replies to choose from"
        yield "SC105", (*at, "preference"), why, "ask which reply is better, and in what"
    if p.critique and _ASKS_REWRITING.match(p.critique):
        why = "`critique` asks for a rewrite"
        yield "SC112", (*at, "critique"), why, "ask what is wrong; `revision` rewrites"
    if p.revision and _ASKS_CRITIQUE.match(p.revision):
        why = "`revision` asks for a critique"
        yield "SC112", (*at, "revision"), why, "ask for a rewrite; `critique` criticises"


def _tests(at: Location, p: Principle) -> Found:
    if not p.tests:
        why = f"{p.id} has no tests, so nothing shows that a judge understands it"
        yield "SC106", (*at, "id"), why, "add one answer that keeps it and one that does not"
    seen: set[str] = set()
    for index, test in enumerate(p.tests):
        here = (*at, "tests", index)
        if test.prompt.casefold() in seen:
            yield "SC201", here, "this prompt is tested already", "test another one"
        seen.add(test.prompt.casefold())
        pairs = product(test.compliant, test.violating)
        if any(likeness(compliant, violating) >= _ALIKE for compliant, violating in pairs):
            why = "the compliant and the violating answer hardly differ"
            yield "SC202", here, why, "let only one of them break the principle"
    if len(p.tests) > 1:
        ratios = [_mean_length(test.compliant) / _mean_length(test.violating) for test in p.tests]
        if min(ratios) >= _TIMES_LONGER or max(ratios) <= 1 / _TIMES_LONGER:
            longer = "compliant" if ratios[0] > 1 else "violating"
            why = f"the {longer} answer is always {_TIMES_LONGER:.0f} times as long as the other"
            remedy = "make lengths alike, or the tests measure length"
            yield "SC203", (*at, "tests"), why, remedy


def _mean_length(answers: tuple[str, ...]) -> float:
    return fmean(map(len, answers))


def _checked(at: Location, p: Principle) -> Found:
    """What the check says of the principle's own tests, and what it leaves nobody to read. A check in
    Python is not run here."""
    if p.check is None:
        return
    if p.preference and not p.needs_judge:
        why = "`preference` is asked of no judge: the check decides between two replies"
        yield "SC205", (*at, "preference"), why, "leave it out, or write `judged: true`"
    if p.critique and not p.needs_judge:
        why = "`critique` is not needed: what the check finds wrong is the critique"
        yield "SC205", (*at, "critique"), why, "leave it out, or write `judged: true`"
    if p.check.python is not None:
        return
    for index, test in enumerate(p.tests):
        for number, answer in enumerate(test.compliant):
            if failed := failures(p.check, answer):
                why = f"the check says that this compliant answer breaks it: {failed[0]}"
                yield "SC204", (*at, "tests", index, "compliant", number), why, _MEND
        for number, answer in enumerate(test.violating if not p.needs_judge else ()):
            if not failures(p.check, answer):
                why = (
                    "the check finds nothing wrong with this violating answer, and it alone decides"
                )
                yield "SC204", (*at, "tests", index, "violating", number), why, _MEND
