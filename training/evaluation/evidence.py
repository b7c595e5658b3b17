"""Everything that the models answered and the judges said, gathered one loaded model at a time.

All of it is kept in a completion cache: an interrupted evaluation resumes where it was, and one
more checkpoint costs only its own part.
"""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from engine.generators.base import Generator
from engine.generators.preflight import Preflight, Task
from engine.records import Verdict
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from training.evaluation.harness.lm_eval_scores import Metrics
from training.evaluation.harness.lm_eval_tasks import Harness, harness_metrics, run_harness
from training.evaluation.judges.judging import (
    Judgements,
    Judges,
    Verdicts,
    judge_models,
    judge_verdicts,
)
from training.evaluation.questions.answering import (
    Logprobs,
    ModelOutputs,
    question_model,
    score_answers,
)
from training.evaluation.questions.questionnaire import HELD_OUT, Questionnaire
from training.evaluation.recorded.answers import RecordedModel

__all__ = ["Evidence", "OnProgress", "gather_evidence"]

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and all of it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was answered and judged; the first model is the base."""

    questionnaire: Questionnaire
    outputs: Mapping[str, ModelOutputs]
    judged: Judgements
    base_logprobs: Mapping[str, Logprobs] = field(default_factory=dict)
    """By each other model, how likely the base finds its held-out answers."""
    training_verdicts: Verdicts | None = None
    """Of the judge of the training, where that is another one."""

    @property
    def base(self) -> str:
        """The name of the model that the others are compared with."""
        return next(iter(self.outputs))

    def decided(self, model: str) -> dict[str, list[Verdict]]:
        """The verdicts that the judge could give, by prompt id, in the order of the prompts."""
        verdicts = self.judged.verdicts[model]
        found = {}
        for prompt in self.questionnaire.prompts:
            given = [v for v in verdicts.get(prompt.id, ()) if v.violates is not None]
            if given:
                found[prompt.id] = given
        return found

    def texts(self, model: str, name: str = HELD_OUT) -> dict[str, str]:
        """The answers to a set that are not empty, by prompt id."""
        answers = self.outputs[model].answers.get(name, {})
        return {id: answer.text for id, answer in answers.items() if answer.text}


async def gather_evidence(
    questionnaire: Questionnaire,
    models: Mapping[str, Generator],
    judges: Judges,
    out: Path,
    on_progress: OnProgress,
) -> Evidence:
    """Ask every model everything, and the judges about the answers; the first model is the base.

    `out` keeps what is generated. Raises GeneratorUnavailable when an engine is gone.
    """
    harness = questionnaire.harness
    asked = {name: m for name, m in models.items() if not isinstance(m, RecordedModel)}
    scored = await run_harness(harness, asked, out, on_progress) if harness else {}
    with CompletionCache(out / "completions.sqlite") as cache:
        try:
            async with aclosing(_OneEngine(cache, _preflight(models, judges))) as engine:
                outputs, logprobs = await _questioned(questionnaire, models, engine, on_progress)
                for name, correct in scored.items():
                    outputs[name].correct |= correct
                for name, metrics in _metrics(harness, asked, out).items():
                    outputs[name].metrics |= metrics
                judge = engine.of(judges.judge)
                judging = partial(on_progress, "the judge reads the answers")
                judged = await judge_models(questionnaire, outputs, judge, judging)
                second = None
                if judges.second is not None:
                    on_progress("the judge of the training reads them", 0, 1)
                    second = await judge_verdicts(questionnaire, outputs, engine.of(judges.second))
        finally:
            cache.flush()
    return Evidence(questionnaire, outputs, judged, logprobs, second)


def _metrics(
    harness: Harness | None, models: Mapping[str, Generator], out: Path
) -> Mapping[str, dict[str, Metrics]]:
    return harness_metrics(harness, models, out) if harness else {}


def _preflight(models: Mapping[str, Generator], judges: Judges) -> Preflight:
    tasks: dict[Generator, Task] = dict.fromkeys(models.values(), Task(writes=True))
    for judge in filter(None, (judges.judge, judges.second)):
        tasks[judge] = tasks.get(judge, Task()) | Task(judges=True)
    return Preflight(tasks)


class _OneEngine:
    """The model that is loaded now; the next one takes its place, or its engine."""

    def __init__(self, cache: CompletionCache, preflight: Preflight) -> None:
        self._cache = cache
        self._preflight = preflight
        self._open: CachedGenerator | None = None

    def of(self, generator: Generator) -> CachedGenerator:
        """`generator` behind the cache, loaded at its first miss."""
        if self._open is not None and self._open.fingerprint == generator.fingerprint:
            return self._open
        cached = CachedGenerator(generator, self._cache, self._preflight)
        before, self._open = self._open, cached
        if before is not None:
            self._open.succeed(before)
        return self._open

    async def aclose(self) -> None:
        if self._open is not None:
            await self._open.close()


async def _questioned(
    questionnaire: Questionnaire,
    models: Mapping[str, Generator],
    engine: _OneEngine,
    on_progress: OnProgress,
) -> tuple[dict[str, ModelOutputs], dict[str, Logprobs]]:
    """What each model answered, and how likely the base finds what the others answered.

    The base comes last, to score the others' answers while it is loaded, and because it is often
    the judge as well.
    """
    base, *others = models
    outputs: dict[str, ModelOutputs] = {}
    for name in (*others, base):
        given = models[name]
        if isinstance(given, RecordedModel):
            outputs[name] = given.outputs(questionnaire)
        else:
            tell = partial(on_progress, name)
            outputs[name] = await question_model(questionnaire, engine.of(given), tell)
    if isinstance(models[base], RecordedModel):
        return {name: outputs[name] for name in models}, {}
    model = engine.of(models[base])
    logprobs = {
        name: await score_answers(outputs[name].answers.get(HELD_OUT, {}), model) for name in others
    }
    return {name: outputs[name] for name in models}, logprobs
