"""Evaluate checkpoints: each is asked everything, a judge reads it, and the figures are told.

One model is loaded at a time. Everything generated is kept in the directory's completion cache, so
an interrupted evaluation goes on where it was, and one more checkpoint costs only its own part.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from engine.generators.base import Generator
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from training.evaluation.evaluation import HELD_OUT, Evaluation
from training.evaluation.figures import Evidence, model_results, pairings
from training.evaluation.harness.harness import run_harness
from training.evaluation.judges.classifiers import Classifier
from training.evaluation.judges.judging import Verdicts, judge_models, judge_verdicts
from training.evaluation.page.samples_of import samples_of
from training.evaluation.questions.answering import ModelOutputs, question_model, score_answers
from training.evaluation.results import (
    Finding,
    ModelResult,
    PrincipleShown,
    Results,
    write_results,
)
from training.evaluation.signs.findings import findings_of
from training.evaluation.signs.signs import signs_of
from training.stats.intervals import mean_estimate

__all__ = ["Judging", "OnProgress", "evaluate_models"]

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and all of it."""
Logprobs = dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Judging:
    """Who judges: `judge` gives the figures; `training_judge` is asked whether it agrees, and
    `classifiers` read every held-out answer."""

    judge: Generator
    training_judge: Generator | None = None
    classifiers: tuple[Classifier, ...] = ()


async def evaluate_models(
    evaluation: Evaluation,
    models: Mapping[str, Generator],
    judging: Judging,
    out: Path,
    *,
    known: Sequence[Finding] = (),
    on_progress: OnProgress = lambda what, done, total: None,
) -> Results:
    """Ask, judge, count, and write `out/results.json`. The first model is the base.

    `known` are reasons to doubt the figures that were found before. Raises GeneratorUnavailable
    when an engine is gone.
    """
    out.mkdir(parents=True, exist_ok=True)
    harness = evaluation.harness
    scored = await run_harness(harness, models, out, on_progress) if harness else {}
    with CompletionCache(out / "completions.sqlite") as cache:
        try:
            async with _one_engine(cache) as engine:
                said, scores = await _questioned(evaluation, models, engine, on_progress)
                for name, correct in scored.items():
                    said[name].correct |= correct
                judge = engine.of(judging.judge)
                tell = partial(on_progress, "the judge reads the answers")
                judged = await judge_models(evaluation, said, judge, tell)
                second = await _second_verdicts(evaluation, said, judging, engine, on_progress)
        finally:
            cache.flush()
    evidence = Evidence(evaluation, said, judged)
    specs = {name: generator.spec for name, generator in models.items()}
    told = [
        _with_signs(result, evidence, scores, second, judging.classifiers)
        for result in model_results(evidence, specs)
    ]
    results = _results(evidence, told, judging.judge.spec, known)
    write_results(results, out)
    return results


class _OneEngine:
    """The model that is loaded now; the next one takes its place, or its engine."""

    def __init__(self, cache: CompletionCache) -> None:
        self._cache = cache
        self._open: CachedGenerator | None = None

    def of(self, generator: Generator) -> CachedGenerator:
        """`generator` behind the cache, loaded at its first miss."""
        if self._open is not None and self._open.fingerprint == generator.fingerprint:
            return self._open
        before, self._open = self._open, CachedGenerator(generator, self._cache)
        if before is not None:
            self._open.succeed(before)
        return self._open

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()


@asynccontextmanager
async def _one_engine(cache: CompletionCache) -> AsyncIterator[_OneEngine]:
    engine = _OneEngine(cache)
    try:
        yield engine
    finally:
        await engine.close()


async def _questioned(
    evaluation: Evaluation,
    models: Mapping[str, Generator],
    engine: _OneEngine,
    on_progress: OnProgress,
) -> tuple[dict[str, ModelOutputs], dict[str, Logprobs]]:
    """What each model said, and how likely the base finds what the others answered.

    The base comes last, to score the others' answers while it is loaded, and because it is often
    the judge as well.
    """
    base, *others = models
    said: dict[str, ModelOutputs] = {}
    for name in (*others, base):
        model = engine.of(models[name])
        said[name] = await question_model(evaluation, model, partial(on_progress, name))
    model = engine.of(models[base])
    scores = {
        name: await score_answers(said[name].answers.get(HELD_OUT, {}), model) for name in others
    }
    return {name: said[name] for name in models}, scores


async def _second_verdicts(
    evaluation: Evaluation,
    said: Mapping[str, ModelOutputs],
    judging: Judging,
    engine: _OneEngine,
    on_progress: OnProgress,
) -> Verdicts | None:
    """None where there is no other judge to agree with."""
    second = judging.training_judge
    if second is None or second.fingerprint == judging.judge.fingerprint:
        return None
    on_progress("the judge of the training reads them", 0, 1)
    return await judge_verdicts(evaluation, said, engine.of(second))


def _with_signs(
    result: ModelResult,
    evidence: Evidence,
    scores: Mapping[str, Logprobs],
    second: Verdicts | None,
    classifiers: Sequence[Classifier],
) -> ModelResult:
    name = result.name
    answers = [a for a in evidence.said[name].answers.get(HELD_OUT, {}).values() if a.text]
    prompts = [answer.prompt.messages[-1].content for answer in answers]
    estimates = {
        judge.name: mean_estimate(judge.probabilities(prompts, [answer.text for answer in answers]))
        for judge in classifiers
    }
    return replace(
        result,
        signs=signs_of(evidence, name, scores.get(name, {}), second),
        classifiers={key: found for key, found in estimates.items() if found is not None},
    )


def _results(
    evidence: Evidence, models: Sequence[ModelResult], judge: str, known: Sequence[Finding]
) -> Results:
    rules, prompts = evidence.evaluation.constitution, evidence.evaluation.prompts
    return Results(
        constitution=rules.name,
        constitution_hash=rules.content_hash,
        principles=tuple(PrincipleShown(p.id, p.statement, p.severity) for p in rules.principles),
        prompts=evidence.evaluation.source,
        prompt_count=len(prompts),
        judge=judge,
        models=tuple(models),
        pairings=tuple(pairings(evidence)),
        findings=(*known, *findings_of(evidence, models)),
        samples=samples_of(evidence),
    )
