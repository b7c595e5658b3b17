"""A judge's preference between two replies under one principle.

Pairwise it is asked which of the two is better, in both orders (Lee et al. 2023, section 2.1.1, on
position bias). Pointwise it is asked of each reply whether it breaks the principle, which small
judges answer far better. The probabilities of the short answers are read; what a judge writes is
never parsed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from constitution.schema import Constitution, Principle
from engine.generators.base import (
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    Request,
)
from engine.generators.facts import ENOUGH_MASS
from engine.judging.judge import check_answer, judge_answer, why_unanswered
from engine.judging.records import Method, Preference, Undecided
from engine.loop.rendering import preference_choice, preference_messages
from engine.loop.reply import reply_of
from engine.messages import Conversation, Message
from engine.settings import RoleModel

__all__ = ["Judge", "Replies", "preference_of_violations"]

Replies = tuple[str, str]
"""The first reply and the second."""

_CHOICES = ("A", "B")
_CLAMP = (0.4, 0.6)
"""Probabilities read after a chain of thought are kept within these: it makes a judge overconfident
(Bai et al. 2022, section 4.1)."""


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked about two replies, in whichever order they are shown."""

    principle: Principle
    prompt: Conversation
    seed: int
    priority: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """The probability of the reply shown first; it says nothing where `undecided` says why."""

    probability: float = 0.5
    undecided: Undecided | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that compares replies, or judges one, by a constitution's principles.

    `on_answer` is called with every completion and choice, and the tokens it generated. A judge whose
    probability of giving any of the answers offered is below `smallest_mass` gave none. Questions
    raise GenerationError and GeneratorUnavailable as the model does; one that is longer than its
    context is an answer that could not be given instead.
    """

    model: RoleModel
    constitution: Constitution
    smallest_mass: float = ENOUGH_MASS
    chain_of_thought: bool = False
    """Pairwise: let it write its reasoning before it chooses."""
    on_answer: Callable[[Completion | Choice, int], None] = lambda answer, tokens: None

    async def prefer(
        self,
        principle: Principle,
        prompt: Conversation,
        replies: Replies,
        *,
        method: Method = "pointwise",
        seed: int = 0,
        priority: int = 0,
    ) -> Preference:
        """Which of `replies` to `prompt` is the better one under `principle`.

        A check that only one of them keeps decides; so does one that is not judged as well, or
        that neither keeps, by a tie. `seed` is that of the reasoning.
        """
        if method == "pointwise":
            first = await self.violation(principle, prompt, replies[0], priority=priority)
            second = await self.violation(principle, prompt, replies[1], priority=priority)
            return preference_of_violations(principle, first, second)
        if (exact := _preference_of_checks(principle, replies)) is not None:
            return exact
        question = _Question(principle, prompt, seed, priority)
        one = await self._first_place(question, replies)
        other = await self._first_place(question, (replies[1], replies[0]))
        undecided = one.undecided or other.undecided
        return Preference(
            principle=principle.id,
            principle_hash=principle.content_hash,
            method="pairwise",
            answers=None if undecided else (one.probability, other.probability),
            undecided=undecided,
            reasoning=tuple(asked.reasoning for asked in (one, other) if asked.reasoning),
        )

    async def violation(
        self, principle: Principle, prompt: Conversation, reply: str, *, priority: int = 0
    ) -> float | Undecided:
        """The probability that `reply` to `prompt` breaks `principle`, or why there is none."""
        try:
            verdict, choice = await judge_answer(
                self.model.generator,
                self.constitution,
                principle,
                (*prompt, Message("assistant", reply)),
                smallest_mass=self.smallest_mass,
                priority=priority,
            )
        except GenerationError as error:
            return _overflow(error)
        if choice is not None:
            self.on_answer(choice, 1)
        return Undecided.UNANSWERED if verdict.probability is None else verdict.probability

    async def _first_place(self, question: _Question, shown: Replies) -> _Answer:
        """What the judge answers when `shown[0]` is A."""
        messages = preference_messages(
            self.constitution,
            question.principle,
            question.prompt,
            shown,
            reasoning=self.chain_of_thought,
        )
        reasoning = ""
        try:
            if self.chain_of_thought:
                reasoning = await self._reasoning(messages, question)
                if not reasoning:
                    return _Answer(undecided=Undecided.EMPTY_REASONING)
                thought = Message("assistant", reasoning)
                messages = (*messages, thought, preference_choice(question.principle))
            choice = await self.model.generator.choose(
                messages, _CHOICES, priority=question.priority
            )
        except GenerationError as error:
            return _Answer(undecided=_overflow(error), reasoning=reasoning)
        self.on_answer(choice, 1)
        if why_unanswered(choice, self.smallest_mass):
            return _Answer(undecided=Undecided.UNANSWERED, reasoning=reasoning)
        probability = choice.probabilities[0]
        if self.chain_of_thought:
            probability = min(max(probability, _CLAMP[0]), _CLAMP[1])
        return _Answer(probability, reasoning=reasoning)

    async def _reasoning(self, messages: Conversation, question: _Question) -> str:
        """The judge's chain of thought, stripped; one that is cut off is used as far as it goes."""
        model = self.model
        request = Request(messages, model.sampling, question.seed, question.priority)
        completion = await model.generator.generate(request)
        self.on_answer(completion, completion.completion_tokens)
        return reply_of(completion).text


def _preference_of_checks(principle: Principle, replies: Replies) -> Preference | None:
    """The pairwise preference that follows from the principle's check; None if a judge is asked."""
    first, second = (check_answer(principle, reply) for reply in replies)
    decided = [verdict for verdict in (first, second) if verdict is not None]
    if not decided:
        return None
    undecided = any(verdict.violates is None for verdict in decided)
    breaks = [verdict is not None and bool(verdict.violates) for verdict in (first, second)]
    better = 0.5 + (breaks[1] - breaks[0]) / 2
    return Preference(
        principle=principle.id,
        principle_hash=principle.content_hash,
        method="pairwise",
        answers=None if undecided else (better, 1 - better),
        undecided=Undecided.UNANSWERED if undecided else None,
    )


def preference_of_violations(
    principle: Principle, first: float | Undecided, second: float | Undecided
) -> Preference:
    """The pointwise preference that follows from what `Judge.violation` says of two replies."""
    failed = [answer for answer in (first, second) if isinstance(answer, Undecided)]
    return Preference(
        principle=principle.id,
        principle_hash=principle.content_hash,
        method="pointwise",
        answers=None if failed else (float(first), float(second)),
        undecided=failed[0] if failed else None,
    )


def _overflow(error: GenerationError) -> Undecided:
    """The one failure that is an answer; raises the others again."""
    if error.reason is not FailureReason.CONTEXT_OVERFLOW:
        raise error
    return Undecided.CONTEXT_OVERFLOW
