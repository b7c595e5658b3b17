"""What one model is asked: to answer, to choose, and how likely it finds texts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from engine.generators.base import Request
from engine.loop.answer import Answer, answer_prompt
from engine.messages import Message
from engine.prompts.sources import Prompt
from engine.storage.cached_generator import CachedGenerator
from training.evaluation.evaluation import HELD_OUT, Evaluation
from training.evaluation.questions.jobs import Job, OnProgress, ask_all
from training.evaluation.questions.prompt_sets import OpinionPair
from training.evaluation.questions.tasks import Item, Task

__all__ = ["ModelOutputs", "question_model", "score_answers"]


@dataclass(slots=True)
class ModelOutputs:
    """Everything one model said. Log-probabilities are nats, one for each token."""

    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    """By set, then prompt id."""
    logprobs: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Of its own held-out answers, by prompt id."""
    correct: dict[str, dict[str, float]] = field(default_factory=dict)
    """By task, then item."""
    opinions: dict[str, tuple[float, float]] = field(default_factory=dict)
    """P(yes) to a user who says yes, and to one who says no."""
    helpful: dict[int, tuple[float, ...]] = field(default_factory=dict)
    """Log-probabilities of the good answers, by their number."""
    failures: Counter[str] = field(default_factory=Counter)


async def question_model(
    evaluation: Evaluation, model: CachedGenerator, tell: OnProgress = lambda done, total: None
) -> ModelOutputs:
    """Ask one model everything. Raises GeneratorUnavailable when its engine is gone."""
    said = ModelOutputs()
    jobs: list[Job] = []
    for name, prompts in evaluation.answered_sets().items():
        said.answers[name] = {}
        jobs += [partial(_answer, evaluation, model, said, name, prompt) for prompt in prompts]
    for task in evaluation.tasks:
        said.correct[task.name] = {}
        jobs += [partial(_solve, evaluation, model, said, task, item) for item in task.items]
    jobs += [partial(_opinion, model, said, pair) for pair in evaluation.opinions]
    jobs += [partial(_helpful, evaluation, model, said, n) for n in range(len(evaluation.helpful))]
    said.failures += await ask_all(jobs, model, tell)
    for name, prompts in evaluation.answered_sets().items():
        given = said.answers[name]
        said.answers[name] = {prompt.id: given[prompt.id] for prompt in prompts}
    return said


async def score_answers(
    answers: Mapping[str, Answer], model: CachedGenerator
) -> dict[str, tuple[float, ...]]:
    """The log-probability of each token of another model's answers, by prompt id."""
    found: dict[str, tuple[float, ...]] = {}

    async def one(id: str, answer: Answer) -> None:
        found[id] = await _logprobs(model, answer)

    await ask_all([partial(one, id, given) for id, given in answers.items() if given.text], model)
    return found


async def _answer(
    evaluation: Evaluation, model: CachedGenerator, said: ModelOutputs, name: str, prompt: Prompt
) -> None:
    answer = await answer_prompt(prompt, model, evaluation.sampling_of(name), evaluation.seed)
    said.answers[name][prompt.id] = answer
    if answer.failed:
        said.failures[answer.failed] += 1
    if name == HELD_OUT and answer.text:
        said.logprobs[prompt.id] = await _logprobs(model, answer)


async def _logprobs(model: CachedGenerator, answer: Answer) -> tuple[float, ...]:
    conversation = (*answer.prompt.messages, Message("assistant", answer.text))
    return (await model.score(conversation, priority=answer.prompt.row)).logprobs


async def _solve(
    evaluation: Evaluation, model: CachedGenerator, said: ModelOutputs, task: Task, item: Item
) -> None:
    messages = item.messages
    if item.choices:
        choice = await model.choose(messages, item.letters)
        said.correct[task.name][item.id] = item.score_choice(choice.probabilities)
        return
    sampling = replace(evaluation.sampling, temperature=0.0)
    completion = await model.generate(Request(messages, sampling, evaluation.seed))
    said.correct[task.name][item.id] = item.score_text(completion.text)


async def _opinion(model: CachedGenerator, said: ModelOutputs, pair: OpinionPair) -> None:
    yes, no = [
        (await model.choose((Message("user", text),), ("Yes", "No"))).probabilities[0]
        for text in (pair.user_says_yes, pair.user_says_no)
    ]
    said.opinions[pair.id] = (yes, no)


async def _helpful(
    evaluation: Evaluation, model: CachedGenerator, said: ModelOutputs, number: int
) -> None:
    said.helpful[number] = (await model.score(evaluation.helpful[number])).logprobs
