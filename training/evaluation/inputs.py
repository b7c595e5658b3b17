"""Everything that an evaluation reads, opened before any model is loaded; its problems all at once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem, all_problems
from constitution.reading import read_json
from engine.generators.base import Generator
from engine.generators.spec import open_generator
from engine.messages import Conversation, Message
from engine.prompts.sources import Prompt, open_prompts
from engine.settings import for_stakeholder
from training.data.readers import read_training_rows
from training.evaluation.config import NONE, SHIPPED, EvaluateConfig, EvaluationSettings
from training.evaluation.gates import Bound, read_gates
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
from training.evaluation.signs.provenance import TrainingRows, training_rows

__all__ = ["EvaluationInputs", "open_inputs"]

Item = TypeVar("Item")
_IMPORT = "give a file that `solon import-garak` wrote"


@dataclass(frozen=True, slots=True)
class EvaluationInputs:
    """What is evaluated, opened and checked; the first model is the base.

    `trained_on` are row files of the training besides those that the models' manifests name, and
    `imported` the rows of red-team reports to show.
    """

    questionnaire: Questionnaire
    models: Mapping[str, Generator]
    judges: Judges
    gates: tuple[Bound, ...] = ()
    trained_on: tuple[Path, ...] = ()
    imported: tuple[dict[str, Any], ...] = ()

    @property
    def training(self) -> TrainingRows:
        """The rows that the models were trained on, as far as they are known."""
        return training_rows([model.spec for model in self.models.values()], self.trained_on)


def open_inputs(config: EvaluateConfig) -> EvaluationInputs:
    """Read and open everything. Raises InputError with the problems of all of it."""
    gates_file = config.gates
    questionnaire, models, judges, gates, imported = all_problems(
        lambda: _questionnaire(config),
        lambda: _models(config),
        lambda: _judges(config),
        lambda: read_gates(Path(gates_file), tuple(config.models)) if gates_file else (),
        lambda: _imported([Path(file) for file in config.imported]),
    )
    trained_on = tuple(Path(file) for file in config.trained_on)
    return EvaluationInputs(questionnaire, models, judges, gates, trained_on, imported)


def _questionnaire(config: EvaluateConfig) -> Questionnaire:
    asked = config.evaluate
    source, rules, harmful, benign, tasks, opinions, helpful = all_problems(
        config.prompts.open,
        lambda: for_stakeholder(load_for_judging(config.constitution), asked.stakeholder),
        lambda: _prompts(asked.harmful, HARMFUL, asked.per_set),
        lambda: _prompts(asked.benign, BENIGN_LOOKALIKES, asked.per_set),
        lambda: _tasks(asked),
        lambda: _opinions(asked),
        lambda: _helpful(asked),
    )
    return Questionnaire(
        prompts=tuple(source), constitution=rules, source=source.path,
        principles=asked.principles, stakeholder=asked.stakeholder, sampling=config.sampling,
        seed=asked.seed, method=asked.method, harmful=harmful, benign=benign,
        attacks=tuple(dict.fromkeys(ATTACKS if asked.attacks == ["all"] else asked.attacks)),
        tasks=tasks, harness=_harness(asked), opinions=opinions, helpful=helpful,
    )  # fmt: skip


def _prompts(given: str, shipped: Path, per_set: int | None) -> tuple[Prompt, ...]:
    if given == NONE:
        return ()
    return _spread(tuple(open_prompts(str(shipped) if given == SHIPPED else given)), per_set)


def _tasks(asked: EvaluationSettings) -> tuple[Task, ...]:
    if asked.tasks == [NONE]:
        return ()
    files = SHIPPED_TASKS if asked.tasks == [SHIPPED] else asked.tasks
    return tuple(read_task(file, limit=asked.per_set, seed=asked.seed) for file in files)


def _harness(asked: EvaluationSettings) -> Harness | None:
    if not asked.lm_eval:
        return None
    folder, names = asked.lm_eval_tasks_dir, tuple(dict.fromkeys(asked.lm_eval))
    return Harness(names, Path(folder) if folder else None, asked.per_set)


def _opinions(asked: EvaluationSettings) -> tuple[OpinionPair, ...]:
    if asked.opinions == NONE:
        return ()
    file = SYCOPHANCY if asked.opinions == SHIPPED else asked.opinions
    return _spread(tuple(read_opinion_pairs(file)), asked.per_set)


def _helpful(asked: EvaluationSettings) -> tuple[Conversation, ...]:
    if asked.helpful is None:
        return ()
    rows = islice(read_training_rows(asked.helpful, "sft", Counter()), asked.per_set)
    return tuple((*row.prompt, Message("assistant", row.answers[0])) for row in rows)


def _models(config: EvaluateConfig) -> dict[str, Generator]:
    opened = all_problems(
        *(lambda spec=spec: _open(config, spec) for spec in config.models.values())
    )
    return dict(zip(config.models, opened, strict=True))


def _judges(config: EvaluateConfig) -> Judges:
    other = config.training_judge
    judge, second, *classifiers = all_problems(
        lambda: _open(config, config.judge),
        lambda: _open(config, other) if other else None,
        *(lambda spec=spec: open_classifier(spec) for spec in config.classifiers),
    )
    return Judges(judge, second, tuple(classifiers))


def _open(config: EvaluateConfig, spec: str) -> Generator:
    return open_generator(spec, chat_template=config.chat_template)


def _imported(files: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """The rows of red-team reports that were imported. Raises InputError for other files."""
    found: list[dict[str, Any]] = []
    for path in files:
        rows = read_json(path, list, _IMPORT)
        if not all(isinstance(row, dict) for row in rows):
            raise InputError(Problem(str(path), "is not an imported report", _IMPORT))
        found += rows
    return tuple(found)


def _spread(items: tuple[Item, ...], most: int | None) -> tuple[Item, ...]:
    """At most N, evenly over the file: it is sorted by category."""
    if most is None or most >= len(items):
        return items
    return tuple(items[index * len(items) // most] for index in range(most))
