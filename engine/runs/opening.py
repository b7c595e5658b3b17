"""Runs from what their commands are given, wherever they are worked on."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from constitution.loader import load_for_judging
from constitution.problems import all_problems
from constitution.schema import Constitution
from engine.prompts.sources import PromptSource
from engine.runs.answer_run import AnswerRun
from engine.runs.config import AnswerConfig, LabelConfig, ReviseConfig, RunConfig
from engine.runs.label_run import LabelRun
from engine.runs.output import Mode
from engine.runs.run import RevisionRun, Run
from engine.runs.shards import RunPlace
from engine.settings import RoleModels, Roles, for_stakeholder

__all__ = ["RunInputs", "open_inputs", "open_run"]


@dataclass(frozen=True, slots=True)
class RunInputs:
    """What a configuration names, opened and checked; no model is loaded yet."""

    config: RunConfig
    prompts: PromptSource
    models: RoleModels
    constitution: Constitution | None

    @property
    def rules(self) -> Constitution:
        """The constitution, of the commands that are given one. Raises TypeError for the others."""
        if self.constitution is None:
            raise TypeError(f"{type(self.config).__name__} names no constitution")
        return self.constitution

    def at(self, place: RunPlace) -> "RunInputs":
        """With the prompts that belong to a shard."""
        return replace(self, prompts=place.prompts(self.prompts))


def open_inputs(config: RunConfig, shards: int | None = None) -> RunInputs:
    """The inputs of a run, or of so many shards. Raises InputError with everything that is wrong."""
    stakeholder = None
    match config:
        case ReviseConfig():
            stakeholder = config.revise.stakeholder
        case LabelConfig():
            stakeholder = config.label.stakeholder

    def rules() -> Constitution | None:
        if isinstance(config, AnswerConfig):
            return None
        return for_stakeholder(load_for_judging(config.constitution), stakeholder)

    prompts, roles = (
        partial(config.prompts.open, shards),
        partial(config.roles.open, config.sampling),
    )
    opened = all_problems(rules, prompts, roles)
    return RunInputs(config, opened[1], opened[2], opened[0])


def open_run(inputs: RunInputs, directory: Path, mode: Mode = "resume") -> Run[Any]:
    """The run of these inputs in a directory. Raises InputError as Run does."""
    prompts, models = inputs.prompts, inputs.models
    match inputs.config:
        case ReviseConfig(revise=settings, window=window):
            rules, cast = inputs.rules, Roles(**models)
            return RevisionRun(directory, prompts, rules, cast, settings, mode=mode, window=window)
        case LabelConfig(label=labels, window=window):
            policy, judge = models["policy"], models["judge"]
            return LabelRun(
                directory, prompts, inputs.rules, policy, judge, labels, mode=mode, window=window
            )
        case AnswerConfig(answer=answers, window=window):
            policy = models["policy"]
            return AnswerRun(directory, prompts, policy, answers, mode=mode, window=window)
