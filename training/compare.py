"""Before and after: several models on the same held-out prompts, judged against the constitution.

Each model answers, then the judge is asked of every answer whether it breaks the principles drawn
for its prompt, the same ones for every model. A table of rates with intervals says what training
changed; it is the short form of a real evaluation, with one judge and no other benchmark.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jsonlines

from constitution.schema import Constitution, Principle
from constitution.selection import draw
from engine.batch import Window, stream
from engine.cached_generator import CachedGenerator
from engine.completion_cache import CompletionCache
from engine.generators.base import GenerationError, Generator, Sampling
from engine.jsonl_store import write_json_atomic
from engine.judge import judge_answer
from engine.messages import Message
from engine.prompts import PromptSource
from engine.records import Verdict
from training.answers import Answer, answer_prompts
from training.compare_figures import Judged, ModelFigures, figures_of

__all__ = ["Comparison", "compare_models"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What to compare: the prompts, the rules, how many of them each prompt meets, and sampling."""

    prompts: PromptSource
    constitution: Constitution
    principles: int = 4
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0


async def compare_models(
    comparison: Comparison,
    models: Mapping[str, Generator],
    judge: Generator,
    out: Path,
    on_stage: Callable[[str], None] = lambda _: None,
) -> list[ModelFigures]:
    """Answer, judge, count; write `out/table.json` and `out/answers.jsonl`. The first model is the
    one the others are compared with.

    One model is loaded at a time, and is gone before the next. Everything generated is kept in
    `out/completions.sqlite`, so an interrupted comparison goes on where it was.
    """
    out.mkdir(parents=True, exist_ok=True)
    with CompletionCache(out / "completions.sqlite") as cache:
        try:
            answers = {}
            for name, generator in models.items():
                on_stage(f"{name} answers {comparison.prompts.count:,} prompts")
                answers[name] = await _answers(comparison, CachedGenerator(generator, cache))
            on_stage("the judge reads them")
            judged = await _judged(comparison, answers, CachedGenerator(judge, cache))
        finally:
            cache.flush()
    specs = {name: generator.spec for name, generator in models.items()}
    base = judged[next(iter(models))]
    figures = [figures_of(name, specs[name], judged[name], base) for name in models]
    _write(out, comparison, judge.spec, judged, figures)
    return figures


async def _answers(comparison: Comparison, generator: CachedGenerator) -> list[Answer]:
    """In the order of the prompts."""
    found = []
    asked = answer_prompts(comparison.prompts, generator, comparison.sampling, comparison.seed)
    try:
        async with aclosing(asked) as answers:
            async for answer in answers:
                found.append(answer)
    finally:
        await generator.close()
    return sorted(found, key=lambda answer: answer.prompt.row)


async def _judged(
    comparison: Comparison, answers: Mapping[str, Sequence[Answer]], judge: CachedGenerator
) -> dict[str, list[Judged]]:
    window = Window((judge,))
    found: dict[str, list[Judged]] = {name: [] for name in answers}
    items = [(name, answer) for name, given in answers.items() for answer in given]

    async def one(item: tuple[str, Answer]) -> tuple[str, Judged]:
        name, answer = item
        return name, Judged(answer, await _verdicts(comparison, answer, judge))

    try:
        results: AsyncGenerator[tuple[str, Judged], None] = stream(items, one, window)
        async with aclosing(results):
            async for name, judged in results:
                window.turn_came_back()
                window.conversation_ended(0)
                found[name].append(judged)
    finally:
        await judge.close()
    return {
        name: sorted(rows, key=lambda row: row.answer.prompt.row) for name, rows in found.items()
    }


async def _verdicts(
    comparison: Comparison, answer: Answer, judge: CachedGenerator
) -> tuple[Verdict, ...]:
    """One for each principle that the prompt meets; none for an answer that is not there."""
    if not answer.text:
        return ()
    prompt, rules = answer.prompt, comparison.constitution
    principles = draw(
        rules,
        prompt_id=prompt.id,
        tags=prompt.tags,
        rounds=comparison.principles,
        seed=comparison.seed,
    )
    conversation = (*prompt.messages, Message("assistant", answer.text))
    found = []
    for principle in principles:
        try:
            verdict, _ = await judge_answer(
                judge, rules, principle, conversation, priority=prompt.row
            )
        except GenerationError as error:
            verdict = _no_verdict(principle, error)
        found.append(verdict)
    return tuple(found)


def _no_verdict(principle: Principle, error: GenerationError) -> Verdict:
    return Verdict(
        principle=principle.id,
        principle_hash=principle.content_hash,
        violates=None,
        reason=str(error.reason),
    )


def _write(
    out: Path,
    comparison: Comparison,
    judge: str,
    judged: Mapping[str, Sequence[Judged]],
    figures: Sequence[ModelFigures],
) -> None:
    with jsonlines.open(out / "answers.jsonl", "w", compact=True) as lines:
        for name, rows in judged.items():
            lines.write_all(_answer_line(name, row) for row in rows)
    rules = comparison.constitution
    write_json_atomic(
        out / "table.json",
        {
            "constitution": {"name": rules.name, "hash": rules.content_hash},
            "prompts": {"path": comparison.prompts.path, "count": comparison.prompts.count},
            "principles_per_prompt": comparison.principles,
            "judge": judge,
            "models": [asdict(row) for row in figures],
        },
    )


def _answer_line(name: str, row: Judged) -> dict[str, Any]:
    return {
        "model": name,
        "id": row.answer.prompt.id,
        "answer": row.answer.text,
        "truncated": row.answer.truncated,
        "failed": row.answer.failed or "",
        "verdicts": [verdict.model_dump(mode="json") for verdict in row.verdicts],
    }
