"""Does a judge say what people say? Its probabilities against answers that people labelled."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from constitution.schema import Constitution, Principle
from engine.generators.base import GenerationError, Generator
from engine.judging.judge import ask_about_answer, judge_answer, why_unanswered
from engine.messages import Conversation
from engine.shares import Estimate, share_estimate
from training.evaluation.judges.classifiers import Classifier
from training.evaluation.judges.labelled_answers import LabelledAnswer, LabelledAnswers
from training.evaluation.questions.answering import ask_all
from training.stats.agreement import (
    Calibration,
    Threshold,
    area_estimate,
    best_threshold,
    calibration,
)
from training.stats.intervals import rank_correlation
from training.stats.raters import kappa_estimate

__all__ = [
    "JudgeAgreement",
    "JudgeCalibration",
    "Opinion",
    "Question",
    "ask_classifier",
    "ask_judge",
    "calibrate",
    "whether",
    "whether_it_breaks",
]

_YES = 0.5


@dataclass(frozen=True, slots=True)
class Opinion:
    """A judge's probability that the label is true, or None and why there is none."""

    probability: float | None
    reason: str | None = None


Question: TypeAlias = Callable[[Generator, Conversation], Awaitable[Opinion]]
"""What a language model is asked about the last turn of a conversation."""


@dataclass(frozen=True, slots=True)
class JudgeAgreement:
    """A judge that says yes from a probability of a half on, and people, on the same answers.

    `found` is the share of people's yes that the judge sees, `spared` the share of their no that it
    leaves alone. `auc` is the probability that it scores a yes above a no, whatever the threshold.
    Intervals are over prompts. None is what these answers cannot tell.
    """

    answers: int
    base_rate: float
    said: float
    """Share of the answers to which the judge says yes."""
    accuracy: Estimate | None
    kappa: Estimate | None
    auc: Estimate | None
    found: Estimate | None
    spared: Estimate | None


@dataclass(frozen=True, slots=True)
class JudgeCalibration:
    """A judge on labelled answers. Those on which it gave no opinion count in `undecided` alone."""

    overall: JudgeAgreement
    undecided: Counter[str]
    curve: Calibration | None
    best_threshold: Threshold | None
    rank_correlation: Estimate | None
    """Spearman's, with graded labels; None where labels are yes and no."""
    groups: dict[str, JudgeAgreement] = field(default_factory=dict)


def whether_it_breaks(constitution: Constitution, principle: Principle) -> Question:
    """Ask for a verdict: labels are true where people say that the principle is broken."""

    async def ask(judge: Generator, conversation: Conversation) -> Opinion:
        verdict, _ = await judge_answer(judge, constitution, principle, conversation)
        return Opinion(verdict.probability, verdict.reason)

    return ask


def whether(question: str) -> Question:
    """Ask a question of one's own, whose answer is yes where the label is true."""

    async def ask(judge: Generator, conversation: Conversation) -> Opinion:
        probability, choice = await ask_about_answer(judge, question, conversation)
        return Opinion(probability, why_unanswered(choice))

    return ask


async def ask_judge(
    data: LabelledAnswers,
    judge: Generator,
    question: Question,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Opinion]:
    """One opinion on each answer, in their order; the judge must have been started.

    Raises GeneratorUnavailable when it is gone.
    """
    found: dict[int, Opinion] = {}

    async def one(index: int, answer: LabelledAnswer) -> None:
        try:
            found[index] = await question(judge, answer.conversation)
        except GenerationError as error:
            found[index] = Opinion(None, str(error.reason))

    def asked(done: int, _total: int) -> None:
        if done:
            on_progress(done)

    jobs = [partial(one, index, answer) for index, answer in enumerate(data.answers)]
    await ask_all(jobs, judge, asked)
    return [found[index] for index in range(len(jobs))]


async def ask_classifier(data: LabelledAnswers, classifier: Classifier) -> list[Opinion]:
    """One opinion on each answer, in their order, in a thread of its own."""
    prompts = [one.question for one in data.answers]
    answers = [one.answer for one in data.answers]
    said = await asyncio.to_thread(classifier.probabilities, prompts, answers)
    return [Opinion(probability) for probability in said]


def calibrate(data: LabelledAnswers, opinions: Sequence[Opinion]) -> JudgeCalibration:
    """Hold opinions against labels, overall and by the answers' group where there are several."""
    rows = [
        (answer, opinion.probability)
        for answer, opinion in zip(data.answers, opinions, strict=True)
        if opinion.probability is not None
    ]
    probabilities = [probability for _, probability in rows]
    labels = [answer.label for answer, _ in rows]
    graded = any(answer.score not in (0, 1) for answer, _ in rows)
    groups: dict[str, list[tuple[LabelledAnswer, float]]] = {}
    for answer, probability in rows:
        groups.setdefault(answer.group, []).append((answer, probability))
    return JudgeCalibration(
        overall=_agreement(rows),
        undecided=Counter(o.reason or "no reason" for o in opinions if o.probability is None),
        curve=calibration(probabilities, labels),
        best_threshold=best_threshold(probabilities, labels),
        rank_correlation=_with_grades(rows) if graded else None,
        groups={n: _agreement(group) for n, group in groups.items()} if len(groups) > 1 else {},
    )


def _with_grades(rows: Sequence[tuple[LabelledAnswer, float]]) -> Estimate | None:
    return rank_correlation(
        [probability for _, probability in rows],
        [answer.score for answer, _ in rows],
        [answer.prompt_key for answer, _ in rows],
    )


def _agreement(rows: Sequence[tuple[LabelledAnswer, float]]) -> JudgeAgreement:
    labels = [answer.label for answer, _ in rows]
    said = [probability >= _YES for _, probability in rows]
    prompts = [answer.prompt_key for answer, _ in rows]
    right = [one == label for one, label in zip(said, labels, strict=True)]
    probabilities = [probability for _, probability in rows]
    return JudgeAgreement(
        answers=len(rows),
        base_rate=sum(labels) / len(rows) if rows else 0.0,
        said=sum(said) / len(rows) if rows else 0.0,
        accuracy=share_estimate(right, prompts),
        kappa=kappa_estimate(said, labels, prompts),
        auc=area_estimate(probabilities, labels, prompts),
        found=_share_where(right, labels, prompts, True),
        spared=_share_where(right, labels, prompts, False),
    )


def _share_where(
    right: Sequence[bool], labels: Sequence[bool], prompts: Sequence[str], wanted: bool
) -> Estimate | None:
    of_it = [index for index, label in enumerate(labels) if label is wanted]
    return share_estimate([right[index] for index in of_it], [prompts[index] for index in of_it])
