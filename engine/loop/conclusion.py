"""What came of a conversation: revised, compliant or dropped, and what is left to look at."""

from dataclasses import dataclass

from constitution.schema import Constitution, Severity
from engine.prompts.sources import Prompt
from engine.records import DropReason, Flag, Outcome, Record, Round, Usage, Verdict
from engine.settings import Roles

__all__ = ["ConversationState", "conclude"]


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What happened in one conversation; `drop_reason` if it ended before its first round."""

    first_answer: str
    final: str
    answer_flags: tuple[Flag, ...]
    rounds: tuple[Round, ...]
    final_verdicts: tuple[Verdict, ...]
    usage: Usage
    drop_reason: DropReason | None


def conclude(
    prompt: Prompt, constitution: Constitution, roles: Roles, seed: int, course: ConversationState
) -> Record:
    """The record of a conversation.

    Unresolved principles are those that the final answer breaks or that the judge could not
    decide; they are undone if their own revision was accepted before another one rewrote it.
    """
    outcome, drop_reason = _outcome(course)
    unresolved = tuple(v.principle for v in course.final_verdicts if v.violates is not False)
    accepted = [r.principle for r in course.rounds if r.critique and r.dropped is None]
    severities = {p.id: p.severity for p in constitution.principles} if unresolved else {}
    return Record(
        id=prompt.id,
        row=prompt.row,
        prompt=prompt.messages,
        tags=prompt.tags,
        answer=course.first_answer,
        answer_flags=course.answer_flags,
        rounds=course.rounds,
        final=course.final,
        outcome=outcome,
        drop_reason=drop_reason,
        final_verdicts=course.final_verdicts,
        unresolved=unresolved,
        undone=tuple(p for p in unresolved if p in accepted[:-1]),
        escalate=any(severities[p] is Severity.CRITICAL for p in unresolved),
        constitution=constitution.content_hash,
        models=roles.specs,
        sampling=roles.samplings,
        seed=seed,
        usage=course.usage,
        extra=dict(prompt.extra),
    )


def _outcome(course: ConversationState) -> tuple[Outcome, DropReason | None]:
    if course.drop_reason:
        return Outcome.DROPPED, course.drop_reason
    if course.final != course.first_answer:
        return Outcome.REVISED, None
    reasons = [r.dropped for r in course.rounds if r.dropped]
    if reasons:
        return Outcome.DROPPED, reasons[-1]
    if any(r.critique for r in course.rounds):
        return Outcome.DROPPED, DropReason.UNCHANGED_REVISION
    return Outcome.COMPLIANT, None
