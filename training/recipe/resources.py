"""What each stage of a recipe takes of each GPU, known before any of them runs."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from constitution.typed_yaml import read_yaml_file
from engine.runs.config import AnswerConfig, LabelConfig, ReviseConfig
from engine.sizing.gpus import Machine
from engine.sizing.need import Need
from engine.sizing.serving import Engine, serving_need
from engine.sizing.sized import Sizes
from engine.sizing.specs import engines_of, model_of, server_notes, unsized
from engine.sizing.stages import StageResources, hours_of
from training.evaluation.config import EvaluateConfig
from training.recipe.amounts import Amounts
from training.recipe.plan import stages_of
from training.recipe.schema import TRAINERS, Recipe
from training.recipe.stage import Stage
from training.trainers.config import GRPOTrainingConfig, TrainingConfig
from training.trainers.memory import Training
from training.trainers.sharding import Sharding, read_sharding

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
                return self._training_need(TRAINERS[trainer].model_validate(config), stage)
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
        return self._at_once(specs)

    def _at_once(self, specs: Mapping[str, str]) -> Need | None:
        engines = engines_of(specs.values(), self._sizes, self._name)
        return self._noted(serving_need(engines, self._machine), engines, list(specs.values()))

    def _one_at_a_time(self, config: EvaluateConfig) -> Need | None:
        """An evaluation loads one model after another: the largest counts."""
        specs = [*config.models.values(), config.judge]
        engines = engines_of(specs, self._sizes, self._name)
        needs = [serving_need([engine], self._machine) for engine in engines]
        largest = max(needs, key=lambda need: (bool(need.problems), need.total), default=Need())
        return self._noted(largest, engines, specs)

    def _noted(self, need: Need, engines: list[Engine], specs: list[str]) -> Need | None:
        """With what is not in its sum; None where there is neither."""
        notes = need.notes + unsized(engines) + server_notes(specs, self._sizes, self._machine)
        return replace(need, notes=notes) if engines or notes else None

    def _training_need(self, config: TrainingConfig, stage: Stage) -> Need:
        model = self._sizes.of(self._name(config.model))
        if model.shape is None:
            return Need(notes=(f"not counted: {model}",))
        sharding = Sharding()
        if stage.accelerate is not None:
            sharding = read_sharding(read_yaml_file(stage.accelerate).data)
        judge, specs = None, []
        if isinstance(config, GRPOTrainingConfig) and config.judge:
            judge, specs = self._name(model_of(config.judge)), [config.judge]
        training = Training(config, model, model.shape, self._sizes, sharding, judge)
        need = training.need(self._machine)
        return replace(need, notes=server_notes(specs, self._sizes, self._machine))
