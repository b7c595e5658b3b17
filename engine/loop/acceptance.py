"""Which broken principle is criticised next, and whether a revision earns its place."""

import re
from collections.abc import Collection, Iterable, Mapping

from constitution.schema import Principle
from constitution.text_measures import UNSPACED
from engine.messages import Conversation
from engine.records import DropReason, Verdict

__all__ = [
    "Verdicts",
    "answers_as_well",
    "badness",
    "newly_broken",
    "refusal",
    "speaks_to",
    "worst",
]

Verdicts = Mapping[str, Verdict]
"""Principle id to the verdict on one text."""

_SLACK = 0.1
"""How much less a revision may seem to answer the user than the reply before it."""
_SHARED = 0.3
"""Of a revision's content words, how many must stand in the answer if none is the user's."""
_WORD = re.compile(rf"[{UNSPACED}]|[^\W\d_{UNSPACED}]{{4,}}+")
_STEM = 5
"""Letters by which two forms of one word are held for the same."""
_EMPTY = frozenset(
    "about again also answer been best better could does doing down each even ever every from give "
    "given good have having here into just know like made make making many might more most much must "
    "need only other over question really same should some someone something still such sure take "
    "tell than thank thanks that their them then there these they thing things think this those time "
    "today very want well were what when where which while will with without would your".split()
)
"""Words of four letters and more that say nothing about a subject."""


def worst(
    principles: Iterable[tuple[Principle, float]], verdicts: Verdicts, tried: Collection[str]
) -> Principle | None:
    """The broken principle that matters most, by its probability, severity and weight; none of those
    tried, and the first of the file among equals."""
    broken = [
        (_probability(verdicts[p.id]) * p.severity.factor * weight, p)
        for p, weight in principles
        if p.id not in tried and verdicts[p.id].violates
    ]
    return max(broken, key=lambda scored: scored[0])[1] if broken else None


def refusal(
    principle: Principle, before: Verdicts, after: Verdicts, *, margin: float
) -> DropReason | None:
    """Why a revision under `principle` is no improvement by its verdicts, if it is none.

    It must break the principle less, by `margin` of probability unless it keeps it exactly or the
    answer before could not be judged, and break nothing that the answer before it kept.
    """
    was, now = before[principle.id], after[principle.id]
    if now.violates is None or (was.violates is not None and not _less(was, now, margin)):
        return DropReason.NOT_BETTER
    return DropReason.BREAKS_ANOTHER if newly_broken(before, after) else None


def newly_broken(before: Verdicts, after: Verdicts) -> tuple[str, ...]:
    """The principles that a text breaks and the one before it was not found to."""
    return tuple(
        id for id, verdict in after.items() if verdict.violates and not before[id].violates
    )


def answers_as_well(before: float | None, after: float | None) -> bool:
    """Whether a revision speaks to the user as the answer before it did, as far as is known."""
    return before is None or after is None or after >= before - _SLACK


def speaks_to(prompt: Conversation, answer: str, revision: str) -> bool:
    """Whether a revision is about what was asked, decided without a judge: it has a content word of
    the user's last message, or three in ten of its own stand in the answer before it. True where the
    user's message has no content words. Needs time linear in the texts."""
    asked = next((turn.content for turn in reversed(prompt) if turn.role == "user"), "")
    subject, said = _content(asked), _content(revision)
    if not subject or subject & said:
        return True
    return bool(said) and len(said & _content(answer)) >= _SHARED * len(said)


def _content(text: str) -> set[str]:
    words = _WORD.findall(text.casefold())
    return {word[:_STEM] for word in words if word not in _EMPTY}


def badness(verdicts: Verdicts, principle: Principle) -> tuple[float, float]:
    """How likely a text breaks `principle`, then all principles together: less is better."""
    return _probability(verdicts[principle.id]), sum(map(_probability, verdicts.values()))


def _less(was: Verdict, now: Verdict, margin: float) -> bool:
    return _probability(was) - _probability(now) >= margin


def _probability(verdict: Verdict) -> float:
    return 0.5 if verdict.probability is None else verdict.probability
