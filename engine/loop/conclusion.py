"""What came of a conversation: revised, compliant, unresolved or dropped, and what is left to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from constitution.schema import Constitution, Severity
from engine.prompts.sources import Prompt
from engine.records import DropReason, Flag, Outcome, Record, Round, Usage, Verdict
from engine.settings import LoopSettings, Roles

__all__ = ["ConversationState", "conclude"]


@dataclass(frozen=True, slots=True)
class ConversationState:
    """What happened in one conversation; `drop_reason` if it ended before its first round."""

    first_answer: str
    final: str
    answer_flags: tuple[Flag, ...]
    answer_reasoning: str | None
    first_verdicts: tuple[Verdict, ...]
    rounds: tuple[Round, ...]
    final_verdicts: tuple[Verdict, ...]
    usage: Usage
    drop_reason: DropReason | None


def conclude(
    prompt: Prompt,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    state: ConversationState,
) -> Record:
    """The record of a conversation.

    Unresolved principles are those that the final answer breaks or that the judge could not
    decide; they are undone if their own revision was accepted before another one rewrote it.
    """
    unresolved = tuple(v.principle for v in state.final_verdicts if v.violates is not False)
    outcome, drop_reason = _outcome(state, settings, unresolved)
    accepted = [r.principle for r in state.rounds if r.accepted]
    severities = {p.id: p.severity for p in constitution.principles} if unresolved else {}
    return Record(
        id=prompt.id,
        row=prompt.row,
        prompt=prompt.messages,
        tags=prompt.tags,
        answer=state.first_answer,
        answer_flags=state.answer_flags,
        answer_reasoning=state.answer_reasoning,
        first_verdicts=state.first_verdicts,
        rounds=state.rounds,
        final=state.final,
        outcome=outcome,
        drop_reason=drop_reason,
        final_verdicts=state.final_verdicts,
        unresolved=unresolved,
        undone=tuple(p for p in unresolved if p in accepted[:-1]),
        escalate=any(severities[p] is Severity.CRITICAL for p in unresolved),
        constitution=constitution.content_hash,
        models=roles.specs,
        sampling=roles.samplings,
        seed=settings.seed,
        usage=state.usage,
        extra=dict(prompt.extra),
    )


def _outcome(
    state: ConversationState, settings: LoopSettings, unresolved: Sequence[str]
) -> tuple[Outcome, DropReason | None]:
    if state.drop_reason:
        return Outcome.DROPPED, state.drop_reason
    reason = next((r.dropped for r in reversed(state.rounds) if r.dropped), None)
    if unresolved and settings.accept == "better":
        return Outcome.UNRESOLVED, reason
    if state.final != state.first_answer:
        return Outcome.REVISED, None
    if state.rounds:
        return Outcome.DROPPED, reason or DropReason.UNCHANGED_REVISION
    return Outcome.COMPLIANT, None
