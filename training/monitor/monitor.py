"""Watching a model in use: what it breaks, day by day, against what it broke before."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem, all_problems
from constitution.schema import Constitution
from constitution.typed_yaml import Settings
from engine.generators.base import GenerationError, Generator
from engine.generators.spec import open_generator
from engine.generators.spec_needs import MODEL_SPEC
from engine.judging.calibrate import calibrated_judge
from engine.judging.judge import judge_answer
from engine.loop.asking import gathered
from engine.messages import Message
from engine.runs.config import SPEC, ConstitutionName
from engine.setting_fields import JudgeAnyway, Seed
from engine.settings import LoopSettings, RoleModel
from engine.storage.cached_generator import remembering
from training.evaluation.results import read_results
from training.monitor.log import LoggedAnswer, read_log, sampled
from training.monitor.topics import Topics
from training.monitor.watched import Signal, Watched
from training.stats.intervals import check_scipy
from training.stats.sequential import Day, rise_since

__all__ = ["MonitorConfig", "watch"]

_AT_ONCE = 32
_NEW, _DISAGREES = "prompts of a new kind", "users and judge disagree"
_BAD = 0.5
"""A rating below it says that the answer was bad."""


class MonitorConfig(Settings):
    """What `solon monitor` is given."""

    constitution: ConstitutionName
    judge: Annotated[str, MODEL_SPEC, SPEC] = Field(
        description="The model that judges; best the one of the baseline."
    )
    out: str = Field(default="runs/monitor", description="Where the page and the figures go.")
    baseline: str | None = Field(
        default=None,
        description="results.json of an evaluation, whose rates are compared with; without it the "
        "log's first days are.",
        json_schema_extra={"metavar": "FILE"},
    )
    baseline_model: str | None = Field(
        default=None, description="The checkpoint of the evaluation, if it has several."
    )
    baseline_days: int = Field(
        default=7, ge=1, description="The first days of the log, which are compared with."
    )
    per_day: int = Field(default=200, ge=1, description="Answers judged of each day.")
    alpha: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="The chance of any alarm at all while nothing has risen.",
    )
    topics: int = Field(
        default=8, ge=0, description="Clusters of prompts that are watched too; 0 for none."
    )
    judge_anyway: JudgeAnyway = False
    seed: Seed = 0


@dataclass(frozen=True, slots=True)
class _Judged:
    answer: LoggedAnswer
    broken: Mapping[str, bool]
    """Principle id to whether it is broken; without those that could not be judged."""

    @property
    def said(self) -> str:
        """The user's last message."""
        return self.answer.prompt[-1].content

    @property
    def breaks_any(self) -> bool:
        """Whether any principle is broken."""
        return any(self.broken.values())


def watch(log: Path, config: MonitorConfig) -> Watched:
    """Sample the log, judge the sample and compare. Verdicts are kept in `out`, so that a day that
    was judged is not judged again. Raises InputError for what is wrong in what was given."""
    rules, judge, days, known, _ = all_problems(
        lambda: load_for_judging(config.constitution),
        lambda: open_generator(config.judge),
        lambda: sampled(read_log(log), config.per_day, config.seed),
        lambda: _evaluated(config),
        check_scipy,
    )
    first = 0 if known else config.baseline_days
    if len(days) <= first:
        what = f"has {len(days)} days, and {first} of them would be the baseline"
        raise InputError(Problem(str(log), what, "give fewer --baseline-days, or a --baseline"))
    judged = asyncio.run(_judge(days, rules, judge, config))
    return _compared(judged, rules, config, known, first)


def _compared(
    days: Mapping[date, Sequence[_Judged]],
    rules: Constitution,
    config: MonitorConfig,
    known: Mapping[str, Day],
    first: int,
) -> Watched:
    order = list(days)
    cut = config.baseline_days if len(order) > config.baseline_days else 0
    counted: dict[tuple[str, str], dict[date, list[bool]]] = defaultdict(dict)
    for day, answers in days.items():
        for principle in rules.principles:
            found = [one.broken[principle.id] for one in answers if principle.id in one.broken]
            counted["principle", principle.id][day] = found
        rated = [one for one in answers if one.answer.rating is not None]
        if rated:
            counted["ratings", _DISAGREES][day] = [_disagrees(one) for one in rated]
    if config.topics and cut:
        _count_topics(counted, days, order[:cut], config)
    signals = _signals(counted, order, known, first or cut, config.alpha)
    every = [one for answers in days.values() for one in answers]
    undecided = sum(len(rules.principles) - len(one.broken) for one in every)
    notes = ("the baseline is an evaluation's: its prompts are not those of users",) * bool(known)
    broken = tuple(one.answer for one in every if one.breaks_any)
    return Watched(signals, len(every), undecided, tuple(order), notes, broken)


def _signals(
    counted: Mapping[tuple[str, str], Mapping[date, Sequence[bool]]],
    order: Sequence[date],
    known: Mapping[str, Day],
    first: int,
    alpha: float,
) -> tuple[Signal, ...]:
    """Each with its share of `alpha`, so that the chance of any false alarm is `alpha` in all."""
    found = []
    for (kind, name), by_day in counted.items():
        evaluated = known.get(name) if kind == "principle" else None
        cut = 0 if evaluated else first
        before = evaluated or _day(hit for day in order[:cut] for hit in by_day.get(day, ()))
        since = {day: _day(by_day.get(day, ())) for day in order[cut:]}
        if before.trials:
            rise = rise_since(before, [*since.values()], alpha / len(counted))
            found.append(Signal(name, kind, before, since, rise))
    return tuple(found)


def _count_topics(
    counted: dict[tuple[str, str], dict[date, list[bool]]],
    days: Mapping[date, Sequence[_Judged]],
    baseline: Sequence[date],
    config: MonitorConfig,
) -> None:
    """What is broken by topic, and prompts of a new kind: of the baseline those that did not say what
    is known."""
    before = [one.said for day in baseline for one in days[day]]
    topics = Topics.of(before, config.topics, config.seed)
    held_out = iter(topics.held_out)
    for day, answers in days.items():
        prompts = [one.said for one in answers]
        for name, one in zip(topics.of_prompts(prompts), answers, strict=True):
            counted["topic", name].setdefault(day, []).append(one.breaks_any)
        new = topics.new(prompts)
        if day in baseline:
            new = [is_new for is_new, counts in zip(new, held_out, strict=False) if counts]
        counted["prompts", _NEW][day] = new


async def _judge(
    days: Mapping[date, Sequence[LoggedAnswer]],
    rules: Constitution,
    judge: Generator,
    config: MonitorConfig,
) -> dict[date, list[_Judged]]:
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    settings = LoopSettings(judge_anyway=config.judge_anyway)
    async with remembering(judge, out / "completions.sqlite") as asked:
        calibrated, _ = await calibrated_judge(RoleModel(asked), rules, settings)
        turn = asyncio.Semaphore(_AT_ONCE)
        one = partial(_verdicts, rules, calibrated, turn)
        return {day: await gathered(map(one, answers)) for day, answers in days.items()}


async def _verdicts(
    rules: Constitution, judge: RoleModel, turn: asyncio.Semaphore, answer: LoggedAnswer
) -> _Judged:
    answered = (*answer.prompt, Message("assistant", answer.answer))
    found: dict[str, bool] = {}
    async with turn:
        for principle in rules.principles:
            try:
                verdict, _ = await judge_answer(
                    judge.generator, rules, principle, answered, calibration=judge.calibration
                )
            except GenerationError:
                continue
            if verdict.violates is not None:
                found[principle.id] = verdict.violates
    return _Judged(answer, found)


def _evaluated(config: MonitorConfig) -> dict[str, Day]:
    """Principle to its rate in an evaluation. Raises InputError where it is not said of which model."""
    if config.baseline is None:
        return {}
    named = Path(config.baseline)
    found = read_results(named.parent if named.suffix == ".json" else named)
    models = [m for m in found.models if config.baseline_model in (None, m.name)]
    if len(models) != 1:
        names = ", ".join(model.name for model in found.models)
        what = f"has no one model {config.baseline_model or 'to compare with'}"
        raise InputError(Problem(config.baseline, what, f"--baseline-model is one of {names}"))
    return {
        name: Day(round(rate.value * rate.count), rate.count)
        for name, rate in models[0].principles.items()
    }


def _disagrees(one: _Judged) -> bool:
    is_bad = (one.answer.rating or 0.0) < _BAD
    return is_bad != one.breaks_any


def _day(hits: Iterable[bool]) -> Day:
    found = list(hits)
    return Day(sum(found), len(found))
