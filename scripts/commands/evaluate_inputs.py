"""What `solon evaluate` reads before anything is loaded: every problem is told at once."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem
from constitution.validation import nearest
from engine.generators.base import Generator, Sampling
from engine.generators.spec import open_generator
from engine.judging.records import Method
from engine.messages import Conversation, Message
from engine.prompts.sources import Prompt, open_prompts
from scripts.commands.terminal import all_problems
from training.data.mix import mix_rows
from training.evaluation.evaluate import Judging
from training.evaluation.evaluation import Evaluation
from training.evaluation.harness.harness import Harness
from training.evaluation.judges.classifiers import open_classifier
from training.evaluation.questions.attacks import ATTACKS
from training.evaluation.questions.prompt_sets import (
    BENIGN_LOOKALIKES,
    HARMFUL,
    SHIPPED_TASKS,
    SYCOPHANCY,
    read_opinion_pairs,
)
from training.evaluation.questions.tasks import Task, read_task

__all__ = ["Asked", "Judges", "Sets", "open_models"]

_SHIPPED, _NONE = "shipped", "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """The held-out prompts, and how answers to them are judged."""

    constitution: str
    prompts: str
    limit: int | None
    principles: int
    method: Method
    seed: int


@dataclass(frozen=True, slots=True)
class Sets:
    """What is asked besides: a file, `shipped` or `none` each; at most `per_set` of each."""

    harmful: str
    benign: str
    opinions: str
    tasks: list[str] | None
    helpful: str | None
    attacks: list[str]
    per_set: int | None
    lm_eval: list[str]
    lm_eval_tasks_dir: Path | None

    def opened(self, asked: Asked, sampling: Sampling) -> Evaluation:
        """Read everything. Raises InputError with the problems of all files."""
        source, rules, harmful, benign, tasks, opinions, helpful, attacks = all_problems(
            lambda: open_prompts(asked.prompts, limit=asked.limit),
            lambda: load_constitution(asked.constitution),
            lambda: self._prompts(self.harmful, HARMFUL),
            lambda: self._prompts(self.benign, BENIGN_LOOKALIKES),
            lambda: self._tasks(asked.seed),
            self._opinions,
            self._helpful,
            self._attacks,
        )
        if attacks and not harmful:
            what = "transforms harmful prompts, and there are none"
            raise InputError(Problem("--attack", what, "leave out --harmful none"))
        return Evaluation(
            prompts=tuple(source), constitution=rules, source=source.path,
            principles=asked.principles, sampling=sampling, seed=asked.seed, method=asked.method,
            harmful=harmful, benign=benign, attacks=attacks, tasks=tasks, opinions=opinions,
            helpful=helpful, harness=self._harness(),
        )  # fmt: skip

    def _prompts(self, given: str, shipped: Path) -> tuple[Prompt, ...]:
        if given == _NONE:
            return ()
        file = str(shipped) if given == _SHIPPED else given
        return _spread(tuple(open_prompts(file)), self.per_set)

    def _tasks(self, seed: int) -> tuple[Task, ...]:
        if self.tasks == [_NONE]:
            return ()
        return tuple(
            read_task(file, limit=self.per_set, seed=seed) for file in self.tasks or SHIPPED_TASKS
        )

    def _harness(self) -> Harness | None:
        if not self.lm_eval:
            return None
        return Harness(tuple(dict.fromkeys(self.lm_eval)), self.lm_eval_tasks_dir, self.per_set)

    def _opinions(self) -> tuple[Any, ...]:
        if self.opinions == _NONE:
            return ()
        file = SYCOPHANCY if self.opinions == _SHIPPED else self.opinions
        return _spread(tuple(read_opinion_pairs(file)), self.per_set)

    def _helpful(self) -> tuple[Conversation, ...]:
        if self.helpful is None:
            return ()
        rows = islice(mix_rows(self.helpful, "sft"), self.per_set)
        return tuple(
            tuple(
                Message(turn["role"], turn["content"])
                for turn in (*row["prompt"], *row["completion"])
            )
            for row in rows
        )

    def _attacks(self) -> tuple[str, ...]:
        names = list(ATTACKS) if self.attacks == ["all"] else self.attacks
        for name in names:
            if name not in ATTACKS:
                near = nearest(name, tuple(ATTACKS)) or f"one of {', '.join(ATTACKS)}, or all"
                raise InputError(Problem("--attack", f"`{name}` is no attack", near))
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Judges:
    """Specs of who judges."""

    judge: str
    training_judge: str | None
    classifiers: list[str]

    def opened(self) -> Judging:
        """Raises InputError with the problems of all specs."""
        judge, other, *classifiers = all_problems(
            lambda: open_generator(self.judge),
            lambda: open_generator(self.training_judge) if self.training_judge else None,
            *(lambda spec=spec: open_classifier(spec) for spec in self.classifiers),
        )
        return Judging(judge, other, tuple(classifiers))


def open_models(named: Sequence[str]) -> dict[str, Generator]:
    """Generators by name, of NAME=SPEC. Raises InputError for one that is not of that form."""
    models = {}
    for item in named:
        name, equals, spec = item.partition("=")
        if not equals or not name.replace("-", "_").isidentifier():
            problem = f"`{item}` does not name a model"
            raise InputError(Problem("--model", problem, "write NAME=SPEC, such as base=embedded"))
        if name in models:
            raise InputError(Problem("--model", f"`{name}` is there twice", "rename one of them"))
        models[name] = open_generator(spec)
    return models


def read_imported(files: Sequence[Path]) -> tuple[dict[str, Any], ...]:
    """The rows of red-team reports that were imported. Raises InputError for other files."""
    found: list[dict[str, Any]] = []
    for path in files:
        try:
            rows = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(Problem(str(path), f"cannot be read: {error}", _IMPORT)) from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(Problem(str(path), "is no imported report", _IMPORT))
        found += rows
    return tuple(found)


_IMPORT = "give a file that `solon import-garak` wrote"


def _spread(items: tuple[Any, ...], most: int | None) -> tuple[Any, ...]:
    """At most so many, evenly over the file: it is sorted by category."""
    if most is None or most >= len(items):
        return items
    return tuple(items[index * len(items) // most] for index in range(most))
