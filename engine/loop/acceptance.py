"""Which broken principle is criticised next, and whether a revision earns its place."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from constitution.schema import Principle
from engine.records import DropReason, Verdict

__all__ = ["Verdicts", "refusal", "worst"]

Verdicts = Mapping[str, Verdict]
"""Principle id to the verdict on one text."""

_SLACK = 0.1
"""How much less a revision may seem to answer the user than the reply before it."""


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
    broke = [id for id, verdict in after.items() if verdict.violates and not before[id].violates]
    return DropReason.BREAKS_ANOTHER if broke else None


def answers_as_well(before: float | None, after: float | None) -> bool:
    """Whether a revision speaks to the user as the answer before it did, as far as is known."""
    return before is None or after is None or after >= min(before, 1.0) - _SLACK


def best(candidates: Sequence[tuple[Verdicts, int]], principle: Principle) -> int:
    """Which candidate breaks the principle least, then all of them together least."""
    return min(
        candidates,
        key=lambda c: (_probability(c[0][principle.id]), sum(map(_probability, c[0].values()))),
    )[1]


def _less(was: Verdict, now: Verdict, margin: float) -> bool:
    return _probability(was) - _probability(now) >= margin


def _probability(verdict: Verdict) -> float:
    return 0.5 if verdict.probability is None else verdict.probability
