"""What one model is asked: to answer, to choose, and how likely it finds texts."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from engine.generators.base import GenerationError, Generator, Request
from engine.loop.answer import Answer, answer_prompt
from engine.messages import Conversation, Message
from engine.prompts.sources import Prompt
from engine.runs.scheduler import ask_each
from engine.storage.cached_generator import CachedGenerator
from training.evaluation.harness.lm_eval_scores import Metrics
from training.evaluation.questions.prompt_sets import OpinionPair
from training.evaluation.questions.questionnaire import HELD_OUT, Questionnaire
from training.evaluation.questions.tasks import Item

__all__ = [
    "Job",
    "Logprobs",
    "ModelOutputs",
    "OnProgress",
    "ask_all",
    "question_model",
    "score_answers",
]

Job: TypeAlias = Callable[[], Awaitable[None]]
"""Asks something and keeps the answer where it belongs."""
OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the jobs done and all of them."""


async def ask_all(
    jobs: Sequence[Job], generator: Generator, on_progress: OnProgress = lambda done, total: None
) -> Counter[str]:
    """Do every job; those that raise GenerationError are counted by reason and leave no answer.

    Raises GeneratorUnavailable when the engine is gone.
    """
    failures: Counter[str] = Counter()

    async def one(job: Job) -> None:
        try:
            await job()
        except GenerationError as error:
            failures[error.reason] += 1

    on_progress(0, len(jobs))
    async with aclosing(ask_each(jobs, one, generator, total=len(jobs))) as ended:
        done = 0
        async for _ in ended:
            done += 1
            on_progress(done, len(jobs))
    return failures


Logprobs = dict[str, tuple[float, ...]]
"""Of each token of an answer, in nats, by prompt id."""


@dataclass(slots=True)
class ModelOutputs:
    """Everything one model answered. Log-probabilities are nats, one for each token."""

    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    """By set, then prompt id."""
    logprobs: Logprobs = field(default_factory=dict)
    """Of its own held-out answers."""
    correct: dict[str, dict[str, float]] = field(default_factory=dict)
    """By task, then item."""
    metrics: dict[str, Metrics] = field(default_factory=dict)
    """By task of lm-eval: every figure that it gives."""
    opinions: dict[str, tuple[float, float]] = field(default_factory=dict)
    """P(yes) to a user who says yes, and to one who says no."""
    helpful: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """Log-probabilities of the good answers, by their number."""
    failures: Counter[str] = field(default_factory=Counter)


async def question_model(
    questionnaire: Questionnaire,
    model: CachedGenerator,
    on_progress: OnProgress = lambda done, total: None,
) -> ModelOutputs:
    """Ask one model everything. Raises GeneratorUnavailable when its engine is gone."""
    asking = _Asking(questionnaire, model, ModelOutputs())
    outputs = asking.outputs
    outputs.failures += await ask_all(asking.jobs(), model, on_progress)
    for name, prompts in questionnaire.answered_sets().items():
        given = outputs.answers[name]
        outputs.answers[name] = {prompt.id: given[prompt.id] for prompt in prompts}
    return outputs


async def score_answers(answers: Mapping[str, Answer], model: CachedGenerator) -> Logprobs:
    """The log-probability of each token of another model's answers."""
    found: Logprobs = {}

    async def one(id: str, answer: Answer) -> None:
        found[id] = await _logprobs(model, answer)

    await ask_all([partial(one, id, given) for id, given in answers.items() if given.text], model)
    return found


@dataclass(frozen=True, slots=True)
class _Asking:
    """The questions to one model, each of which keeps its answer in `outputs`."""

    questionnaire: Questionnaire
    model: CachedGenerator
    outputs: ModelOutputs

    def jobs(self) -> list[Job]:
        asked, jobs = self.questionnaire, list[Job]()
        for name, prompts in asked.answered_sets().items():
            self.outputs.answers[name] = {}
            jobs += [partial(self._answer, name, prompt) for prompt in prompts]
        for task in asked.tasks:
            scores = self.outputs.correct.setdefault(task.name, {})
            jobs += [partial(self._solve, scores, item) for item in task.items]
        jobs += [partial(self._opinion, pair) for pair in asked.opinions]
        jobs += [partial(self._helpful, *numbered) for numbered in enumerate(asked.helpful)]
        return jobs

    async def _answer(self, name: str, prompt: Prompt) -> None:
        asked, outputs = self.questionnaire, self.outputs
        answer = await answer_prompt(prompt, self.model, asked.sampling_of(name), asked.seed)
        outputs.answers[name][prompt.id] = answer
        if answer.failed:
            outputs.failures[answer.failed] += 1
        if name == HELD_OUT and answer.text:
            outputs.logprobs[prompt.id] = await _logprobs(self.model, answer)

    async def _solve(self, scores: dict[str, float], item: Item) -> None:
        if item.choices:
            choice = await self.model.choose(item.messages, item.letters)
            scores[item.id] = item.score_choice(choice.probabilities)
            return
        sampling = self.questionnaire.sampling.model_copy(update={"temperature": 0.0})
        request = Request(item.messages, sampling, self.questionnaire.seed)
        scores[item.id] = item.score_text((await self.model.generate(request)).text)

    async def _opinion(self, pair: OpinionPair) -> None:
        yes, no = [
            (await self.model.choose((Message("user", text),), ("Yes", "No"))).probabilities[0]
            for text in (pair.user_says_yes, pair.user_says_no)
        ]
        self.outputs.opinions[pair.id] = (yes, no)

    async def _helpful(self, number: int, conversation: Conversation) -> None:
        self.outputs.helpful[number] = (await self.model.score(conversation)).logprobs


async def _logprobs(model: CachedGenerator, answer: Answer) -> tuple[float, ...]:
    conversation = (*answer.prompt.messages, Message("assistant", answer.text))
    return (await model.score(conversation, priority=answer.prompt.row)).logprobs
