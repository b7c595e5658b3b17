"""Everything that an evaluation reads, opened before any model is loaded; its problems all at once."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem, all_problems
from constitution.reading import read_json
from engine.generators.base import Generator
from engine.generators.spec import open_generator, require_template_use
from engine.generators.vllm import share_engines
from engine.messages import Conversation, Message
from engine.prompts.sources import open_prompts
from engine.redteam.transforms import ATTACKS
from engine.settings import for_stakeholder
from training.data.readers import read_training_rows
from training.evaluation.config import NONE, SHIPPED, EvaluateConfig
from training.evaluation.gates import Bound, read_gates
from training.evaluation.harness.attack_runs import read_attacks
from training.evaluation.harness.lm_eval_tasks import SUITES, Harness
from training.evaluation.judges.classifiers import open_classifier
from training.evaluation.judges.judging import Judges
from training.evaluation.questions.prompt_sets import (
    BENIGN_LOOKALIKES,
    HARMFUL,
    SHIPPED_TASKS,
    SYCOPHANCY,
    read_opinion_pairs,
)
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.questions.swaps import SWAPS, Swap, read_swaps
from training.evaluation.questions.tasks import read_task
from training.evaluation.recorded.answers import open_recorded
from training.evaluation.recorded.lm_eval_results import TaskResults, read_lm_eval_results
from training.evaluation.signs.provenance import TrainingRows, training_rows
from training.stats.best_of_n import OverOptimisation

__all__ = ["EvaluationInputs", "open_inputs"]

Item = TypeVar("Item")
_IMPORT = "give a file that `solon import-garak` wrote, or a directory of `solon redteam`"


@dataclass(frozen=True, slots=True)
class EvaluationInputs:
    """What is evaluated, opened and checked; the first model is the base.

    `against` is the model that the others are compared with too, `trained_on` are row files of the training besides those that the models' manifests name, and
    `imported` the rows of red-team reports to show.
    """

    questionnaire: Questionnaire
    models: Mapping[str, Generator]
    judges: Judges
    gates: tuple[Bound, ...] = ()
    trained_on: tuple[Path, ...] = ()
    imported: tuple[dict[str, Any], ...] = ()
    harness_results: Mapping[str, TaskResults] = field(default_factory=dict)
    """What lm-eval found elsewhere, by model."""
    against: str | None = None
    curves: tuple[OverOptimisation, ...] = ()

    @property
    def training(self) -> TrainingRows:
        """The rows that the models were trained on, as far as they are known."""
        return training_rows([model.spec for model in self.models.values()], self.trained_on)


def open_inputs(config: EvaluateConfig) -> EvaluationInputs:
    """Read and open everything. Raises InputError with the problems of all of it."""
    gates_file, judged = config.gates, (config.judge, config.training_judge)
    asked = [*config.models.values(), *filter(None, judged)]

    def opened(spec: str) -> Generator:
        return open_generator(spec, chat_template=config.chat_template)

    questionnaire, models, judges, gates, imported, harness, curves = all_problems(
        lambda: _questionnaire(config),
        lambda: all_problems(
            *(partial(opened, spec) for spec in config.models.values()),
            *(partial(open_recorded, file) for file in config.answers.values()),
        ),
        lambda: all_problems(
            lambda: require_template_use(asked, config.chat_template),
            lambda: opened(config.judge),
            lambda: opened(config.training_judge) if config.training_judge else None,
            *(partial(open_classifier, spec) for spec in config.classifiers),
        ),
        lambda: (
            read_gates(Path(gates_file), (*config.models, *config.answers)) if gates_file else ()
        ),
        lambda: _imported([Path(file) for file in config.imported]),
        lambda: {n: read_lm_eval_results(Path(f)) for n, f in config.lm_eval_results.items()},
        lambda: tuple(_curve(Path(file)) for file in config.curves),
    )
    _, judge, second, *classifiers = judges
    share_engines([*models, judge, *([second] if second else [])], at_once=False)
    return EvaluationInputs(
        questionnaire,
        dict(zip((*config.models, *config.answers), models, strict=True)),
        Judges(judge, second, tuple(classifiers)),
        gates,
        tuple(Path(file) for file in config.trained_on),
        imported,
        harness,
        config.against,
        curves,
    )


def _questionnaire(config: EvaluateConfig) -> Questionnaire:
    asked, most = config.evaluate, config.evaluate.per_set

    def some(given: str, shipped: Path, read: Callable[[str], Iterable[Item]]) -> tuple[Item, ...]:
        """At most N of a file, evenly over it: it is sorted by category."""
        if given == NONE:
            return ()
        items = tuple(read(str(shipped) if given == SHIPPED else given))
        places = range(min(most or len(items), len(items)))
        return tuple(items[place * len(items) // len(places)] for place in places)

    def helpful() -> tuple[Conversation, ...]:
        rows = read_training_rows(asked.helpful, "sft", Counter()) if asked.helpful else ()
        answered = islice(rows, most)
        return tuple((*row.prompt, Message("assistant", row.answers[0])) for row in answered)

    words: dict[str, Sequence[Path]] = {SHIPPED: SHIPPED_TASKS, NONE: ()}
    files = words.get(asked.tasks[0], asked.tasks) if len(asked.tasks) == 1 else asked.tasks
    source, rules, harmful, benign, tasks, opinions, conversations, swaps = all_problems(
        config.prompts.open,
        lambda: for_stakeholder(load_for_judging(config.constitution), asked.stakeholder),
        lambda: some(asked.harmful, HARMFUL, open_prompts),
        lambda: some(asked.benign, BENIGN_LOOKALIKES, open_prompts),
        lambda: tuple(read_task(file, limit=most, seed=asked.seed) for file in files),
        lambda: some(asked.opinions, SYCOPHANCY, read_opinion_pairs),
        helpful,
        lambda: tuple(swap.limited(most) for swap in _swaps(asked.swaps)),
    )
    suites = [task for suite in asked.suites for task in SUITES[suite]]
    named = tuple(dict.fromkeys([*asked.lm_eval, *suites]))
    own = Path(asked.lm_eval_tasks_dir) if asked.lm_eval_tasks_dir else None
    return Questionnaire(
        prompts=tuple(source), constitution=rules, source=source.path,
        principles=asked.principles, stakeholder=asked.stakeholder, sampling=config.sampling,
        seed=asked.seed, method=asked.method, harmful=harmful, benign=benign,
        attacks=tuple(dict.fromkeys(ATTACKS if asked.attacks == ["all"] else asked.attacks)),
        tasks=tasks, opinions=opinions, helpful=conversations, swaps=swaps,
        harness=Harness(named, own, most) if named else None,
    )  # fmt: skip


def _curve(file: Path) -> OverOptimisation:
    """Raises InputError for a file that `solon best-of-n` did not write."""
    remedy = "give a curve.json that `solon best-of-n` wrote"
    try:
        return TypeAdapter(OverOptimisation).validate_python(read_json(file, dict, remedy))
    except ValidationError:
        raise InputError(Problem(str(file), "is not a curve", remedy)) from None


def _swaps(given: str) -> list[Swap]:
    return [] if given == NONE else read_swaps(SWAPS if given == SHIPPED else given)


def _imported(files: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """The rows of red-team reports that were imported. Raises InputError for other files."""
    found: list[dict[str, Any]] = []
    for path in files:
        if path.is_dir():
            found += read_attacks(path)
            continue
        rows = read_json(path, list, _IMPORT)
        if not all(isinstance(row, dict) for row in rows):
            raise InputError(Problem(str(path), "is not an imported report", _IMPORT))
        found += rows
    return tuple(found)
