"""Whether a text that a model wrote may leave: checks first, then the judge, who may fail."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from constitution.checks import Check, failures
from constitution.schema import Constitution, Principle, Severity
from engine.generators.base import GenerationError, GeneratorUnavailable
from engine.guard.policy import Decision, decide, severities_of
from engine.guard.settings import GuardSettings
from engine.judging.judge import check_answer, judge_answer, why_unanswered
from engine.loop.asking import gathered
from engine.loop.rendering import request_messages
from engine.messages import Conversation, Message
from engine.records import Verdict
from engine.settings import LoopSettings, RoleModel

__all__ = ["Screened", "Screening", "partial_principles"]

_LASTS = ("max_words", "max_sentences", "forbid", "no_lists")
"""Of a check: what stays broken however the answer goes on."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The verdicts on a text, and what follows from them. Where a check alone had it refused, the
    judge was not asked about the other principles."""

    verdicts: tuple[Verdict, ...]
    decision: Decision


@dataclass(frozen=True)
class Screening:
    """Screens what was asked and what is answered, for one constitution."""

    constitution: Constitution
    judge: RoleModel
    settings: GuardSettings
    loop: LoopSettings

    async def request(self, conversation: Conversation) -> str | None:
        """Why a request is not answered at all; None where it may be.

        A judge that gives no answer refuses it where anything fails closed.
        """
        if check := self.settings.input_check:
            for said in (turn.content for turn in conversation if turn.role == "user"):
                if failed := failures(check, said):
                    return failed[0]
        question = self.settings.input_question
        if question is None:
            return None
        messages = request_messages(question, conversation, self.constitution.preamble)
        try:
            async with asyncio.timeout(self.settings.judge_seconds):
                choice = await self.judge.generator.choose(messages, ("Yes", "No"))
        except (GenerationError, GeneratorUnavailable, TimeoutError) as error:
            unanswered: str | None = str(error) or type(error).__name__
        else:
            unanswered = why_unanswered(choice, self.loop.smallest_mass)
            if unanswered is None:
                is_so = choice.probabilities[0] >= self.loop.threshold
                return "the judge answers Yes about the user's message" if is_so else None
        closed = "closed" in self.settings.on_failure.values()
        return f"the user's message could not be judged: {unanswered}" if closed else None

    async def answer(
        self, principles: Sequence[Principle], conversation: Conversation, text: str
    ) -> Screened:
        """Hold `text`, as an answer to `conversation`, against each principle: at most one question
        each. The first goes ahead of the others, which share its prompt up to the principle."""
        known = {p.id: checked for p in principles if (checked := check_answer(p, text))}
        exact = self.decided(known.values())
        judged = [p for p in principles if p.id not in known]
        if exact.action in ("refuse", "hold"):
            return Screened(tuple(known.values()), exact)
        answered = (*conversation, Message("assistant", text))
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.judge_seconds):
                for principle in judged[:1]:
                    await self._judge(principle, answered, known)
                await gathered(self._judge(p, answered, known) for p in judged[1:])
        late = f"no verdict in {self.settings.judge_seconds:g} seconds"
        verdicts = tuple(known.get(p.id) or _undecided(p, late) for p in principles)
        return Screened(verdicts, self.decided(verdicts))

    def decided(self, verdicts: Iterable[Verdict]) -> Decision:
        """What follows from verdicts."""
        settings = self.settings
        return decide(verdicts, self._severities, settings.on_breach, settings.on_failure)

    @cached_property
    def _severities(self) -> Mapping[str, Severity]:
        return severities_of(self.constitution)

    async def _judge(
        self, principle: Principle, answered: Conversation, known: dict[str, Verdict]
    ) -> None:
        """Put the judge's verdict among those that are known; one that it cannot give is undecided."""
        try:
            verdict, _ = await judge_answer(
                self.judge.generator,
                self.constitution,
                principle,
                answered,
                calibration=self.judge.calibration,
                threshold=self.loop.threshold,
                smallest_mass=self.loop.smallest_mass,
            )
        except (GenerationError, GeneratorUnavailable) as error:
            verdict = _undecided(principle, str(error))
        known[principle.id] = verdict


def partial_principles(principles: Sequence[Principle]) -> tuple[Principle, ...]:
    """What the beginning of an answer can be held against: without what only a whole answer keeps,
    such as a least number of words."""
    found = []
    for principle in principles:
        if principle.check is None:
            found.append(principle)
            continue
        kept = {
            key: value for key in _LASTS if (value := getattr(principle.check, key)) is not None
        }
        if kept:
            found.append(principle.model_copy(update={"check": Check(**kept)}))
        elif principle.needs_judge:
            found.append(principle.model_copy(update={"check": None, "judged": None}))
    return tuple(found)


def _undecided(principle: Principle, reason: str) -> Verdict:
    return Verdict(
        principle=principle.id,
        principle_hash=principle.content_hash,
        violates=None,
        reason=reason,
    )
