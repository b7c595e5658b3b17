"""A model's own answers to prompts: data for the helpfulness mix, and what models are compared by."""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path

import jsonlines

from engine.generators.base import GenerationError, Generator, Request, Sampling
from engine.loop.critique_revise import request_seed
from engine.loop.hygiene import remove_reasoning
from engine.messages import to_dicts
from engine.prompts.sources import Prompt, PromptSource
from engine.runs.scheduler import ask_each
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache

__all__ = ["Answer", "AnswerCounts", "answer_prompt", "answer_prompts", "write_answers"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one prompt; `tokens` counts what was generated. `failed` says why there is none."""

    prompt: Prompt
    text: str
    tokens: int = 0
    truncated: bool = False
    failed: str | None = None


@dataclass(slots=True)
class AnswerCounts:
    """What became of the prompts."""

    written: int = 0
    empty: int = 0
    truncated: int = 0
    """Of those written, if they are kept; else left out."""
    failed: int = 0


async def answer_prompt(
    prompt: Prompt, generator: Generator, sampling: Sampling, seed: int
) -> Answer:
    """The answer to one prompt, without its reasoning. Raises GeneratorUnavailable alone."""
    asked = Request(
        prompt.messages, sampling, request_seed(seed, prompt.id, "policy", 0), prompt.row
    )
    try:
        completion = await generator.generate(asked)
    except GenerationError as error:
        return Answer(prompt, "", failed=error.reason)
    text = remove_reasoning(completion.text)[0].strip()
    truncated = completion.finish_reason == "length"
    return Answer(prompt, text, completion.completion_tokens, truncated)


def answer_prompts(
    prompts: Iterable[Prompt], generator: Generator, sampling: Sampling, seed: int
) -> AsyncGenerator[Answer, None]:
    """Each prompt's answer as it finishes. Raises GeneratorUnavailable when the engine is gone.

    The generator must have been started, or start by itself.
    """

    async def one(prompt: Prompt) -> Answer:
        return await answer_prompt(prompt, generator, sampling, seed)

    return ask_each(prompts, one, generator, expected_tokens=2 * sampling.max_tokens)


async def write_answers(
    prompts: PromptSource,
    generator: Generator,
    sampling: Sampling,
    seed: int,
    out: Path,
    *,
    keep_truncated: bool = False,
) -> AnswerCounts:
    """Write `prompt` and `completion` rows into `out/answers.jsonl`, whole or not at all.

    Completions are kept in `out/completions.sqlite`, so that the same call after an interruption
    generates what is missing. Empty answers teach nothing and are left out, counted, and truncated
    ones are unless `keep_truncated`.
    """
    out.mkdir(parents=True, exist_ok=True)
    unfinished, counts = out / "answers.jsonl.part", AnswerCounts()
    with CompletionCache(out / "completions.sqlite") as cache:
        cached = CachedGenerator(generator, cache)
        try:
            with jsonlines.open(unfinished, "w", compact=True) as rows:
                async for answer in answer_prompts(prompts, cached, sampling, seed):
                    if _is_usable(answer, counts, keep_truncated):
                        rows.write(_row(answer))
        finally:
            await cached.close()
            cache.flush()
    unfinished.replace(out / "answers.jsonl")
    return counts


def _is_usable(answer: Answer, counts: AnswerCounts, keep_truncated: bool) -> bool:
    if answer.failed:
        counts.failed += 1
    elif not answer.text:
        counts.empty += 1
    else:
        counts.truncated += answer.truncated
        usable = keep_truncated or not answer.truncated
        counts.written += usable
        return usable
    return False


def _row(answer: Answer) -> dict[str, object]:
    return {
        "id": answer.prompt.id,
        "prompt": to_dicts(answer.prompt.messages),
        "completion": [{"role": "assistant", "content": answer.text}],
        "truncated": answer.truncated,
    }
