"""A model's own answers to prompts: data for the helpfulness mix, and what models are compared by."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.generators.base import GenerationError, Generator, Request, Sampling
from engine.loop.asking import ConversationFailed, request_seed
from engine.loop.reply import reply_of
from engine.prompts.sources import Prompt
from engine.records import AnswerDrop, AnswerOutcome, AnswerRecord, Usage
from engine.settings import AnswerSettings, RoleModel

__all__ = ["Answer", "answer_for_training", "answer_prompt"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one prompt; `tokens` counts what was generated. `failed` says why there is none."""

    prompt: Prompt
    text: str
    tokens: int = 0
    truncated: bool = False
    failed: str | None = None
    prompt_tokens: int = 0
    reasoning: str | None = None


async def answer_prompt(
    prompt: Prompt, generator: Generator, sampling: Sampling, seed: int
) -> Answer:
    """The answer to one prompt, without its reasoning. Raises GeneratorUnavailable alone."""
    try:
        return await _answer(prompt, generator, sampling, seed)
    except GenerationError as error:
        return Answer(prompt, "", failed=error.reason)


async def answer_for_training(
    prompt: Prompt,
    policy: RoleModel,
    settings: AnswerSettings,
    on_tokens: Callable[[int], None] = lambda tokens: None,
) -> AnswerRecord:
    """The record of one answer; an empty one is dropped, a truncated one unless the settings keep it.

    `on_tokens` is called with the request's prompt and completion tokens. Raises ConversationFailed
    when the model could not answer, GeneratorUnavailable when it is gone.
    """
    try:
        answer = await _answer(prompt, policy.generator, policy.sampling, settings.seed)
    except GenerationError as error:
        raise ConversationFailed("policy", error) from error
    on_tokens(answer.prompt_tokens + answer.tokens)
    drop = None
    if not answer.text:
        drop = AnswerDrop.EMPTY
    elif answer.truncated and not settings.keep_truncated:
        drop = AnswerDrop.TRUNCATED
    return AnswerRecord(
        id=prompt.id,
        row=prompt.row,
        prompt=prompt.messages,
        tags=prompt.tags,
        answer=answer.text,
        reasoning=answer.reasoning,
        truncated=answer.truncated,
        outcome=AnswerOutcome.DROPPED if drop else AnswerOutcome.ANSWERED,
        drop_reason=drop,
        models={"policy": policy.generator.spec},
        sampling={"policy": policy.sampling.model_dump()},
        seed=settings.seed,
        usage=Usage(
            requests=1, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.tokens
        ),
        extra=dict(prompt.extra),
    )


async def _answer(prompt: Prompt, generator: Generator, sampling: Sampling, seed: int) -> Answer:
    sampling_seed = request_seed(seed, prompt.id, "policy", 0)
    asked = Request(prompt.messages, sampling, sampling_seed, prompt.row)
    completion = await generator.generate(asked)
    reply = reply_of(completion)
    return Answer(
        prompt,
        reply.text,
        completion.completion_tokens,
        reply.truncated,
        prompt_tokens=completion.prompt_tokens,
        reasoning=reply.reasoning,
    )
