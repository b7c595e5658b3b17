"""A recipe: the whole pipeline, from a constitution and prompts to a trained model, as one file.

Its sections are the settings of the engine, the trainers and the evaluation. What every stage
shares (models, seed, stakeholder, sampling) is said once, at the top. Paths are relative to the
recipe's folder. `training.recipe.plan` turns it into the stages.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from constitution.problems import InputError, Problem, nearest
from constitution.typed_yaml import checked, read_yaml_file, section_of
from constitution.yaml_source import Location, YamlSource
from engine.generators.base import Sampling
from engine.generators.model_files import is_path
from engine.generators.spec import read_spec
from engine.generators.spec_needs import ENGINE_OPTIONS, ENGINE_OPTIONS_BY_NAME
from engine.input_files import InputFile, NamedFile, named_files
from engine.prompts.files import matching, source_parts
from engine.runs.config import ChatTemplate, ConstitutionName, OtherRoles, PromptsFile
from engine.runs.workers import Workers
from engine.setting_fields import KeepTruncated, Seed
from engine.settings import StakeholderChoice, Tracker
from training.data.split import HeldOut
from training.recipe.order import misordered
from training.recipe.sections import BestOf, Evaluate, Helpful, Label, Preferences, Revise
from training.recipe.steps import ONLINE, STEPS, TRAINERS, Step, section_name
from training.trainers.budget import Budget
from training.trainers.config import OnlineTrainingConfig, TrainingConfig
from training.trainers.reward_config import Reward

__all__ = ["Recipe", "load_recipe", "shipped_recipes", "trainer_sections"]

_LIBRARY = Path(__file__).parent / "recipes"
_SECTIONS = {section_name(step): kind for step, kind in TRAINERS.items()}
_STAND_INS = {"model": "embedded", "dataset": "rows", "out": "out"}
"""For what a trainer must have and the recipe fills in, while its section is checked."""
_SHARED = {
    *OtherRoles.model_fields,
    *("model", "constitution", "chat_template", "stakeholder", "seed"),
    *("keep_truncated", "report_to", "budget", "rewards"),
}
"""What is said once, at the top of a recipe, and holds in every stage that knows it."""
Section = dict[str, Any]
Arm = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
EngineOptions = dict[str, JsonValue]
"""Arguments of vLLM's engine by its names for them; mappings and lists too."""
_STAGES, _ROLES = "revise|answer|label|grpo|rloo|ppo|evaluate", "policy|critic|reviser|judge"
EnginePlace = Annotated[str, Field(pattern=rf"^({_STAGES}|{_ROLES}|({_STAGES})\.({_ROLES}))$")]
"""Where an engine stands in a recipe."""
_REWARDED_BY = {"judge": "scripted", "constitution": "base"}


class Recipe(OtherRoles):
    """What goes in, what each stage should do, and what they run on."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str = ""
    constitution: ConstitutionName
    prompts: PromptsFile | None = Field(
        default=None, description="null: those of `preferences`, or else of `demonstrations`."
    )
    held_out: HeldOut = 0.1
    helpful: Helpful | None = None
    model: str = Field(description="embedded, a directory or a hub's name: what is trained.")
    chat_template: ChatTemplate = None
    keep_truncated: KeepTruncated = True
    stakeholder: StakeholderChoice = None
    value_header: bool = Field(
        default=False,
        description="Say each prompt's stakeholder in its system turn, so that one policy serves all.",
    )
    seed: Seed = 0
    sampling: Sampling = Sampling()
    engine: Literal["auto", "vllm", "transformers"] = Field(
        default="auto",
        description="What answers: auto is vLLM on a GPU; on a CPU vLLM for the revisions and "
        "transformers, which starts in seconds, for the shorter rest.",
    )
    engine_options: Annotated[EngineOptions, ENGINE_OPTIONS] = Field(
        default_factory=dict, description="Engine arguments of vLLM, for what is trained."
    )
    engine_options_for: Annotated[dict[EnginePlace, EngineOptions], ENGINE_OPTIONS_BY_NAME] = Field(
        default_factory=dict,
        description="Further ones, also for the other models, by stage (revise, answer, label, grpo, "
        "evaluate), by role (policy, critic, reviser, judge) or by both: label.judge.",
    )
    accelerate: Annotated[str | None, InputFile()] = Field(
        default=None, description="A configuration file of accelerate: train on several GPUs."
    )
    workers: Workers = Field(
        default=Workers(),
        description="Where revise, answer, label and evaluate run in shards; one process does them "
        "without.",
    )
    report_to: Tracker = Field(
        default="none",
        description="A tracker that revisions, labels, trainings and the evaluation report to; its own "
        "settings say where.",
    )
    test_share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of the training prompts whose loss is watched instead.",
    )
    revise: Revise = Revise(rounds=2)
    demonstrations: Annotated[str | None, InputFile()] = Field(
        default=None,
        description="Rows for SFT instead of revisions: `prompt` and `completion`, or preferences, of "
        "which `chosen` is learned.",
    )
    preferences: Preferences | None = None
    train: list[Step] | None = Field(
        default=None,
        min_length=1,
        description="Steps in their order; null: sft and dpo. With `arms`, what they start from.",
    )
    arms: dict[Arm, Annotated[list[Step], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Chains of steps by name, each from where `train` ends, to compare.",
    )
    rlaif: Literal["dpo", "grpo"] | None = Field(
        default=None, description="Short for `train: [sft, dpo]` or `[sft, grpo]`."
    )
    budget: Budget = Budget()
    rounds: int = Field(
        default=1, ge=1, description="Of preferences and training, after SFT and in each arm."
    )
    label: Label = Label()
    rewards: list[Reward] = Field(
        default_factory=list,
        description="Of online training; `recipe` names the recipe's own judge, or the reward model of "
        "its step. By default that reward model, or else the judge.",
    )
    reward_models: int = Field(
        default=1, ge=1, description="Trained by reward-model with seeds of their own: an ensemble."
    )
    best_of_n: BestOf | None = Field(
        default=None, description="Show over what KL the rewards of online training hold good."
    )
    sft: Section = Field(default_factory=dict, description="Settings of `solon train sft`.")
    reward_model: Section = Field(
        default_factory=dict, description="Settings of `solon train reward-model`."
    )
    dpo: Section = Field(default_factory=dict, description="Settings of `solon train dpo`.")
    kto: Section = Field(default_factory=dict, description="Settings of `solon train kto`.")
    grpo: Section = Field(default_factory=dict, description="Settings of `solon train grpo`.")
    rloo: Section = Field(default_factory=dict, description="Settings of `solon train rloo`.")
    ppo: Section = Field(default_factory=dict, description="Settings of `solon train ppo`.")
    evaluate: Evaluate = Evaluate()

    @field_validator("engine_options")
    @classmethod
    def _are_read(cls, options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if options and info.data.get("engine") == "transformers":
            raise ValueError("they are arguments of vLLM: set `engine: vllm`, or take them out")
        return options

    @field_validator("engine_options_for")
    @classmethod
    def _are_placed(cls, placed: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        others = [str(info.data.get(role)) for role in ("critic", "reviser", "judge")]
        return placed if any(map(_is_in_vllm, others)) else cls._are_read(placed, info)

    @property
    def trunk(self) -> tuple[Step, ...]:
        """What is trained once, before the arms: with them all of `train`, else its SFT."""
        steps = self._steps
        return steps if self.arms else steps[: int(steps[0] == "sft")]

    @property
    def branches(self) -> dict[str, tuple[Step, ...]]:
        """The steps after the trunk, by arm; without arms one, that has no name."""
        if self.arms:
            return {name: tuple(steps) for name, steps in self.arms.items()}
        return {"": self._steps[len(self.trunk) :]}

    @property
    def steps(self) -> tuple[Step, ...]:
        """All that are taken, each once."""
        taken = {*self.trunk, *(step for steps in self.branches.values() for step in steps)}
        return tuple(step for step in STEPS if step in taken)

    @property
    def _steps(self) -> tuple[Step, ...]:
        default: list[Step] = ["sft"] if self.arms else ["sft", self.rlaif or "dpo"]
        return tuple(self.train or default)

    @property
    def revises(self) -> bool:
        """Whether SFT learns from revisions."""
        return "sft" in self.steps and self.demonstrations is None


def shipped_recipes() -> tuple[str, ...]:
    """Names that `load_recipe` knows."""
    return tuple(sorted(path.stem for path in _LIBRARY.glob("*.yaml")))


def load_recipe(source: str | Path) -> tuple[Recipe, Path]:
    """Read a recipe from a file, or a shipped one by name, and say which file it is.

    Raises InputError with every problem, each with its line: also for files that are not there
    and for settings that cannot work together.
    """
    path = _LIBRARY / f"{source}.yaml" if str(source) in shipped_recipes() else Path(source)
    if not path.is_file():
        near = nearest(path.stem, shipped_recipes())
        remedy = near or f"name a YAML file, or one of {', '.join(shipped_recipes())}"
        raise InputError(Problem(str(source), "not a recipe", remedy))
    written = read_yaml_file(path)
    problems = [*_said_in_a_section(written), *_section_problems(written, path.parent)]
    try:
        recipe = checked(written, Recipe)
    except InputError as error:
        raise InputError([*error.problems, *problems]) from None
    problems += [Problem(written.where(at), *told) for at, *told in misordered(recipe)]
    problems += _missing(written, named_files(recipe), path.parent)
    if problems:
        raise InputError(problems)
    return recipe, path


def trainer_sections(recipe: Recipe) -> Iterator[tuple[str, TrainingConfig]]:
    """The settings of the trainers that the recipe's stages run, each with the name of its section;
    stand-ins are in place of what other keys of the recipe fill in."""
    for step in recipe.steps:
        name = section_name(step)
        yield name, TRAINERS[step].model_validate(_filled_in(step, getattr(recipe, name)))


def _filled_in(step: Step, section: dict[str, Any]) -> dict[str, Any]:
    return {**section, **_STAND_INS, **(_REWARDED_BY if step in ONLINE else {})}


def _is_in_vllm(spec: str) -> bool:
    """Also of one that cannot be read: that is reported where it is opened."""
    with suppress(InputError):
        return read_spec(spec).in_vllm
    return True


def _said_in_a_section(written: YamlSource) -> Iterator[Problem]:
    """What is said once at the top of a recipe, and stands in a section."""
    for name, field in Recipe.model_fields.items():
        kind, section = section_of(field) or _SECTIONS.get(name), written.data.get(name)
        if kind is None or not isinstance(section, dict):
            continue
        for key in section.keys() & kind.model_fields.keys():
            where = written.where((name, key), key=True)
            if key in _SHARED and (name, key) != ("evaluate", "judge"):
                remedy = f"say `{key}:` at the top, where it holds in every stage"
                yield Problem(where, f"{name}.{key} is not said in a section", remedy)
            elif name in _SECTIONS and key in _STAND_INS:
                yield Problem(where, f"{name}.{key} is filled in by the recipe", "take it out")


def _section_problems(written: YamlSource, folder: Path) -> Iterator[Problem]:
    """What is wrong with the settings of each trainer, known before any stage has run."""
    for step, kind in TRAINERS.items():
        name = section_name(step)
        section = written.data.get(name)
        if not isinstance(section, dict):
            continue
        whole = replace(written, data={name: _filled_in(step, section)}, problems=())
        try:
            config = checked(whole, kind, (name,))
        except InputError as error:
            yield from error.problems
            continue
        yield from _missing(written, named_files(config), folder, (name,))
        if isinstance(config, OnlineTrainingConfig):
            undivided = None if written.data.get("accelerate") else config.undivided(1)
            if undivided:
                yield Problem(written.where((name, "generations")), *undivided)
        if config.lora is not None and not config.lora.merge:
            where, remedy = written.where((name, "lora", "merge")), "set it to true"
            yield Problem(where, f"the stages after {name} need its merged model", remedy)


def _missing(
    written: YamlSource, files: list[NamedFile], folder: Path, at: Location = ()
) -> Iterator[Problem]:
    """Files that are not there, of those that the recipe names itself."""
    for file in files:
        several = file.mark.several
        for name in source_parts(file.name, folder) if several else (file.name,):
            must = not file.mark.or_name or is_path(name)
            path = str(folder / Path(name).expanduser())
            there = any(map(os.path.exists, matching(path) if several else (path,)))
            if must and not there and not name.startswith("hf:"):
                where = written.where((*at, *file.location))
                yield Problem(where, f"there is no {name}", f"paths are relative to {folder}")
