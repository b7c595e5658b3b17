"""What each stage of a recipe takes of each GPU, known before any of them runs."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import cast

from constitution.typed_yaml import read_yaml_file
from engine.runs.config import AnswerConfig, LabelConfig, ReviseConfig
from engine.sizing.gpus import Machine
from engine.sizing.need import Need
from engine.sizing.sized import Sizes
from engine.sizing.stages import StageResources, hours_of, serving_stage
from training.evaluation.config import EvaluateConfig
from training.recipe.amounts import Amounts
from training.recipe.plan import stages_of
from training.recipe.schema import Recipe
from training.recipe.stage import Stage
from training.recipe.steps import TRAINERS, Step
from training.trainers.config import TrainingConfig
from training.trainers.sharding import read_sharding
from training.trainers.training_need import training_need

__all__ = ["Resources"]


class Resources:
    """Estimates for the stages of a recipe that is run into `out`, on a machine or, without one, on any.

    Raises InputError as `stages_of` does."""

    def __init__(
        self, recipe: Recipe, file: Path, out: Path, sizes: Sizes, machine: Machine | None
    ) -> None:
        if machine is not None and recipe.engine == "auto":
            recipe = recipe.model_copy(update={"engine": "vllm"})  # as it would be there
        self._stages = stages_of(recipe, file, out)
        self._out = out
        self._sizes = sizes
        self._machine = machine
        starts = (
            stage.config["model"] for stage in self._stages if stage.name == "sft" and stage.config
        )
        self._base = str(next(starts, recipe.model))
        self._amounts = Amounts(recipe, self._stages)

    def of(self, names: Collection[str]) -> list[StageResources]:
        """Of those stages among `names` that load a model."""
        stages = [
            stage for stage in self._stages if stage.name in names and stage.config is not None
        ]
        found = ((stage, self._need(stage)) for stage in stages)
        return [
            StageResources(stage.name, need, self._hours(stage)) for stage, need in found if need
        ]

    def _hours(self, stage: Stage) -> float | None:
        if self._machine is None:
            return None
        return hours_of(self._amounts.of(stage), self._sizes, self._machine, self._name)

    # Memory -------------------------------------------------------------------------------------

    def _name(self, model: str) -> str:
        """What this recipe trains has the shape of the model it starts as."""
        trained = model.startswith(f"{self._out}/")
        return self._base if trained else model

    def _need(self, stage: Stage) -> Need | None:
        config = dict(stage.config or {})
        match stage.command:
            case ("train", trainer, *_):
                return self._training_need(
                    TRAINERS[cast(Step, trainer)].model_validate(config), stage
                )
            case ("revise", *_):
                specs = ReviseConfig.model_validate(config).roles.specs
            case ("label", *_):
                specs = LabelConfig.model_validate(config).roles.specs
            case ("answer", *_):
                specs = AnswerConfig.model_validate(config).roles.specs
            case ("evaluate", *_):
                return self._one_at_a_time(EvaluateConfig.model_validate(config))
            case _:
                return None
        return serving_stage(specs.values(), self._sizes, self._machine, self._name)

    def _one_at_a_time(self, config: EvaluateConfig) -> Need | None:
        """An evaluation loads one model after another: the largest counts."""
        specs = dict.fromkeys([*config.models.values(), config.judge])
        found = [serving_stage([s], self._sizes, self._machine, self._name) for s in specs]
        needs = [need for need in found if need is not None]
        if not needs:
            return None
        largest = max(needs, key=lambda need: (bool(need.problems), need.gpus, need.total))
        notes = dict.fromkeys(note for need in needs for note in need.notes)
        return replace(largest, notes=tuple(notes))

    def _training_need(self, config: TrainingConfig, stage: Stage) -> Need:
        sharding = None
        if stage.accelerate is not None:
            sharding = read_sharding(read_yaml_file(stage.accelerate).data)
        return training_need(config, self._sizes, self._machine, sharding, self._name)
