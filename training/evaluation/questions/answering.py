"""What one model is asked: to answer, to choose, and how likely it finds texts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from engine.generators.base import Request
from engine.loop.answer import Answer, answer_prompt
from engine.messages import Message
from engine.prompts.sources import Prompt
from engine.storage.cached_generator import CachedGenerator
from training.evaluation.questions.jobs import Job, OnProgress, ask_all
from training.evaluation.questions.prompt_sets import OpinionPair
from training.evaluation.questions.questionnaire import HELD_OUT, Questionnaire
from training.evaluation.questions.tasks import Item, Task

__all__ = ["Logprobs", "ModelOutputs", "question_model", "score_answers"]

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
    outputs = ModelOutputs()
    jobs: list[Job] = []
    for name, prompts in questionnaire.answered_sets().items():
        outputs.answers[name] = {}
        jobs += [
            partial(_answer, questionnaire, model, outputs, name, prompt) for prompt in prompts
        ]
    for task in questionnaire.tasks:
        outputs.correct[task.name] = {}
        jobs += [partial(_solve, questionnaire, model, outputs, task, item) for item in task.items]
    jobs += [partial(_opinion, model, outputs, pair) for pair in questionnaire.opinions]
    jobs += [
        partial(_helpful, questionnaire, model, outputs, n)
        for n in range(len(questionnaire.helpful))
    ]
    outputs.failures += await ask_all(jobs, model, on_progress)
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


async def _answer(
    questionnaire: Questionnaire,
    model: CachedGenerator,
    outputs: ModelOutputs,
    name: str,
    prompt: Prompt,
) -> None:
    answer = await answer_prompt(prompt, model, questionnaire.sampling_of(name), questionnaire.seed)
    outputs.answers[name][prompt.id] = answer
    if answer.failed:
        outputs.failures[answer.failed] += 1
    if name == HELD_OUT and answer.text:
        outputs.logprobs[prompt.id] = await _logprobs(model, answer)


async def _logprobs(model: CachedGenerator, answer: Answer) -> tuple[float, ...]:
    conversation = (*answer.prompt.messages, Message("assistant", answer.text))
    return (await model.score(conversation, priority=answer.prompt.row)).logprobs


async def _solve(
    questionnaire: Questionnaire,
    model: CachedGenerator,
    outputs: ModelOutputs,
    task: Task,
    item: Item,
) -> None:
    messages = item.messages
    if item.choices:
        choice = await model.choose(messages, item.letters)
        outputs.correct[task.name][item.id] = item.score_choice(choice.probabilities)
        return
    sampling = questionnaire.sampling.model_copy(update={"temperature": 0.0})
    completion = await model.generate(Request(messages, sampling, questionnaire.seed))
    outputs.correct[task.name][item.id] = item.score_text(completion.text)


async def _opinion(model: CachedGenerator, outputs: ModelOutputs, pair: OpinionPair) -> None:
    yes, no = [
        (await model.choose((Message("user", text),), ("Yes", "No"))).probabilities[0]
        for text in (pair.user_says_yes, pair.user_says_no)
    ]
    outputs.opinions[pair.id] = (yes, no)


async def _helpful(
    questionnaire: Questionnaire, model: CachedGenerator, outputs: ModelOutputs, number: int
) -> None:
    outputs.helpful[number] = (await model.score(questionnaire.helpful[number])).logprobs
