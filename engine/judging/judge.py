"""A verdict on one answer: is a principle's statement true of it?

A principle's check decides first, exactly and without a request. A judge reads the answer where
there is no check, and where one holds and the principle is to be judged as well. It is asked for one
word, and its probability is read from the log-probs of Yes and No, normalised (as in Bai et al. 2022,
section 4.1, for preferences). What it says is never parsed.
"""

from math import isfinite

from constitution.checks import failures
from constitution.python_checks import PythonCheckError
from constitution.schema import Constitution, Principle
from engine.generators.base import Choice, Generator
from engine.generators.facts import ENOUGH_MASS
from engine.judging.calibration import UNCALIBRATED, Calibration
from engine.loop.rendering import question_messages, verdict_messages
from engine.messages import Conversation
from engine.records import Verdict

__all__ = [
    "VERDICT_CHOICES",
    "ask_about_answer",
    "check_answer",
    "judge_answer",
    "why_unanswered",
]

VERDICT_CHOICES = ("No", "Yes")
"""To whether the principle's statement is true of a reply: the first is a violation. Asked whether a
reply breaks a principle, a small judge says the same of every reply (docs/experiments.md)."""
_ANSWERS = ("Yes", "No")


async def judge_answer(
    judge: Generator,
    constitution: Constitution,
    principle: Principle,
    conversation: Conversation,
    *,
    calibration: Calibration = UNCALIBRATED,
    threshold: float = 0.5,
    smallest_mass: float = ENOUGH_MASS,
    priority: int = 0,
) -> tuple[Verdict, Choice | None]:
    """Judge the last turn of `conversation`; no choice is returned where the check decided. The
    verdict's probability is the calibrated one.

    A judge whose probability of answering Yes or No at all is below `smallest_mass` gave no
    verdict, nor did one whose probabilities are NaN: `violates` is None. Raises GenerationError
    and GeneratorUnavailable as the judge does.
    """
    if (checked := check_answer(principle, conversation[-1].content)) is not None:
        return checked, None
    messages = verdict_messages(constitution, principle, conversation)
    choice = await judge.choose(messages, VERDICT_CHOICES, priority=priority)
    probability = calibration.adjusted(principle.id, choice.probabilities[0], choice.samples)
    reason = why_unanswered(choice, smallest_mass)
    answered = reason is None
    verdict = Verdict(
        principle=principle.id,
        principle_hash=principle.content_hash,
        violates=probability >= threshold if answered else None,
        probability=probability if answered else None,
        mass=choice.mass if isfinite(choice.mass) else None,
        samples=choice.samples or None,
        reason=reason,
    )
    return verdict, choice


def check_answer(principle: Principle, answer: str) -> Verdict | None:
    """What the principle's check decides; None where that is left to a judge.

    A check in Python that cannot be run gives no verdict: `violates` is None.
    """
    if principle.check is None:
        return None
    failed: tuple[str, ...] = ()
    reason = None
    try:
        failed = failures(principle.check, answer)
    except PythonCheckError as error:
        reason = f"the check could not be run: {error}"
    if not failed and not reason and principle.needs_judge:
        return None
    return Verdict(
        principle=principle.id,
        principle_hash=principle.content_hash,
        violates=None if reason else bool(failed),
        probability=None if reason else float(bool(failed)),
        reason=reason,
        failed=failed,
    )


async def ask_about_answer(
    judge: Generator,
    question: str,
    conversation: Conversation,
    *,
    preamble: str | None = None,
    smallest_mass: float = ENOUGH_MASS,
    priority: int = 0,
) -> tuple[float | None, Choice]:
    """The probability that the answer to `question`, about the last turn of `conversation`, is Yes;
    None where `why_unanswered` has a reason. Raises as `judge_answer` does."""
    messages = question_messages(question, conversation, preamble)
    choice = await judge.choose(messages, _ANSWERS, priority=priority)
    unanswered = why_unanswered(choice, smallest_mass)
    return (None if unanswered else choice.probabilities[0]), choice


def why_unanswered(choice: Choice, smallest_mass: float = ENOUGH_MASS) -> str | None:
    """Why a choice says nothing, if it does not."""
    if not all(map(isfinite, (*choice.probabilities, choice.mass))):
        return "the judge's probabilities are not finite numbers"
    return "the judge answered neither Yes nor No" if choice.mass < smallest_mass else None
