"""Everything that an evaluation reads, opened before any model is loaded; its problems all at once."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem, all_problems
from constitution.validation import nearest
from engine.generators.base import Generator
from engine.generators.spec import open_generator
from engine.messages import Conversation, Message
from engine.prompts.sources import Prompt, open_prompts
from training.data.mix import mix_rows
from training.evaluation.config import NONE, SHIPPED, EvaluateConfig
from training.evaluation.gates import read_gates
from training.evaluation.harness.lm_eval_tasks import Harness
from training.evaluation.judges.classifiers import open_classifier
from training.evaluation.judges.judging import Judges
from training.evaluation.questions.attacks import ATTACKS
from training.evaluation.questions.prompt_sets import (
    BENIGN_LOOKALIKES,
    HARMFUL,
    SHIPPED_TASKS,
    SYCOPHANCY,
    OpinionPair,
    read_opinion_pairs,
)
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.questions.tasks import Task, read_task
from training.evaluation.run import EvaluationInputs

__all__ = ["open_inputs"]

Item = TypeVar("Item")
_IMPORT = "give a file that `solon import-garak` wrote"


def open_inputs(config: EvaluateConfig) -> EvaluationInputs:
    """Read and open everything. Raises InputError with the problems of all of it."""
    questionnaire, models, judges, gates, imported = all_problems(
        lambda: _questionnaire(config),
        lambda: _models(config.models),
        lambda: _judges(config),
        lambda: read_gates(config.gates, tuple(config.models)) if config.gates else (),
        lambda: _imported(config.imported),
    )
    return EvaluationInputs(questionnaire, models, judges, gates, config.trained_on, imported)


def _questionnaire(config: EvaluateConfig) -> Questionnaire:
    source, rules, harmful, benign, tasks, opinions, helpful, attacks = all_problems(
        lambda: open_prompts(config.prompts, limit=config.limit),
        lambda: load_constitution(config.constitution),
        lambda: _prompts(config.harmful, HARMFUL, config.per_set),
        lambda: _prompts(config.benign, BENIGN_LOOKALIKES, config.per_set),
        lambda: _tasks(config),
        lambda: _opinions(config),
        lambda: _helpful(config),
        lambda: _attacks(config.attacks),
    )
    if attacks and not harmful:
        what = "transforms harmful prompts, and there are none"
        raise InputError(Problem("--attack", what, "leave out --harmful none"))
    return Questionnaire(
        prompts=tuple(source), constitution=rules, source=source.path,
        principles=config.principles, stakeholder=config.stakeholder, sampling=config.sampling,
        seed=config.seed, method=config.method, harmful=harmful, benign=benign, attacks=attacks,
        tasks=tasks, harness=_harness(config), opinions=opinions, helpful=helpful,
    )  # fmt: skip


def _prompts(given: str, shipped: Path, per_set: int | None) -> tuple[Prompt, ...]:
    if given == NONE:
        return ()
    return _spread(tuple(open_prompts(str(shipped) if given == SHIPPED else given)), per_set)


def _tasks(config: EvaluateConfig) -> tuple[Task, ...]:
    if config.tasks == (NONE,):
        return ()
    files = SHIPPED_TASKS if config.tasks == (SHIPPED,) else config.tasks
    return tuple(read_task(file, limit=config.per_set, seed=config.seed) for file in files)


def _harness(config: EvaluateConfig) -> Harness | None:
    if not config.lm_eval:
        return None
    return Harness(tuple(dict.fromkeys(config.lm_eval)), config.lm_eval_tasks_dir, config.per_set)


def _opinions(config: EvaluateConfig) -> tuple[OpinionPair, ...]:
    if config.opinions == NONE:
        return ()
    file = SYCOPHANCY if config.opinions == SHIPPED else config.opinions
    return _spread(tuple(read_opinion_pairs(file)), config.per_set)


def _helpful(config: EvaluateConfig) -> tuple[Conversation, ...]:
    if config.helpful is None:
        return ()
    rows = islice(mix_rows(config.helpful, "sft"), config.per_set)
    return tuple(
        tuple(
            Message(turn["role"], turn["content"]) for turn in (*row["prompt"], *row["completion"])
        )
        for row in rows
    )


def _attacks(given: Sequence[str]) -> tuple[str, ...]:
    names = ATTACKS if tuple(given) == ("all",) else given
    for name in names:
        if name not in ATTACKS:
            near = nearest(name, tuple(ATTACKS)) or f"one of {', '.join(ATTACKS)}, or all"
            raise InputError(Problem("--attack", f"unknown attack `{name}`", near))
    return tuple(dict.fromkeys(names))


def _models(specs: Mapping[str, str]) -> dict[str, Generator]:
    return dict(
        zip(
            specs,
            all_problems(*(lambda spec=spec: open_generator(spec) for spec in specs.values())),
            strict=True,
        )
    )


def _judges(config: EvaluateConfig) -> Judges:
    other = config.training_judge
    judge, second, *classifiers = all_problems(
        lambda: open_generator(config.judge),
        lambda: open_generator(other) if other else None,
        *(lambda spec=spec: open_classifier(spec) for spec in config.classifiers),
    )
    return Judges(judge, second, tuple(classifiers))


def _imported(files: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """The rows of red-team reports that were imported. Raises InputError for other files."""
    found: list[dict[str, Any]] = []
    for path in files:
        try:
            rows = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(Problem(str(path), f"cannot be read: {error}", _IMPORT)) from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(Problem(str(path), "is not an imported report", _IMPORT))
        found += rows
    return tuple(found)


def _spread(items: tuple[Item, ...], most: int | None) -> tuple[Item, ...]:
    """At most N, evenly over the file: it is sorted by category."""
    if most is None or most >= len(items):
        return items
    return tuple(items[index * len(items) // most] for index in range(most))
