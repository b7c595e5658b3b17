"""A verdict on one answer: does it break a principle?

The judge is asked for one word and its probability is read from the log-probs of Yes and No,
normalised (as in Bai et al. 2022, section 4.1, for preferences). What it says is never parsed.
"""

from math import isfinite

from constitution.schema import Constitution, Principle
from engine.generators.base import Choice, Generator
from engine.loop.rendering import question_messages, verdict_messages
from engine.messages import Conversation
from engine.records import Verdict

__all__ = ["VERDICT_CHOICES", "ask_about_answer", "judge_answer"]

VERDICT_CHOICES = ("Yes", "No")


async def judge_answer(
    judge: Generator,
    constitution: Constitution,
    principle: Principle,
    conversation: Conversation,
    *,
    threshold: float = 0.5,
    smallest_mass: float = 0.05,
    priority: int = 0,
) -> tuple[Verdict, Choice]:
    """Judge the last turn of `conversation`.

    A judge whose probability of answering Yes or No at all is below `smallest_mass` gave no
    verdict, nor did one whose probabilities are NaN: `violates` is None. Raises GenerationError
    and GeneratorUnavailable as the judge does.
    """
    messages = verdict_messages(constitution, principle, conversation)
    choice = await judge.choose(messages, VERDICT_CHOICES, priority=priority)
    probability = choice.probabilities[0]
    reason = _why_unanswered(choice, smallest_mass)
    answered = reason is None
    verdict = Verdict(
        principle=principle.id,
        principle_hash=principle.content_hash,
        violates=probability >= threshold if answered else None,
        probability=probability if answered else None,
        mass=choice.mass if isfinite(choice.mass) else None,
        reason=reason,
    )
    return verdict, choice


async def ask_about_answer(
    judge: Generator,
    question: str,
    conversation: Conversation,
    *,
    smallest_mass: float = 0.05,
    priority: int = 0,
) -> tuple[float | None, str | None]:
    """The probability that the answer to `question`, about the last turn of `conversation`, is Yes;
    or None, and why. Raises as `judge_answer` does."""
    messages = question_messages(question, conversation)
    choice = await judge.choose(messages, VERDICT_CHOICES, priority=priority)
    reason = _why_unanswered(choice, smallest_mass)
    return (choice.probabilities[0] if reason is None else None), reason


def _why_unanswered(choice: Choice, smallest_mass: float) -> str | None:
    if not all(map(isfinite, (*choice.probabilities, choice.mass))):
        return "the judge's probabilities are not finite numbers"
    return "the judge answered neither Yes nor No" if choice.mass < smallest_mass else None
