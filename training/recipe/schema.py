"""A recipe: the whole pipeline, from a constitution and prompts to a trained model, as one file.

It names what goes in and what each stage should do; `training.recipe.plan` turns it into the stages.
Paths in a recipe are seen from its own folder.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from constitution.problems import InputError, Problem
from constitution.typed_yaml import checked, read_yaml_file
from constitution.validation import nearest
from constitution.yaml_source import YamlSource
from training.trainers.config import DPOTrainingConfig, SFTTrainingConfig, TrainingConfig
from training.trainers.grpo_config import GRPOTrainingConfig

__all__ = ["Helpful", "Prompts", "Recipe", "load_recipe", "shipped_recipes"]

_LIBRARY = Path(__file__).parent / "recipes"
_TRAINERS: dict[str, type[TrainingConfig]] = {
    "sft": SFTTrainingConfig,
    "dpo": DPOTrainingConfig,
    "grpo": GRPOTrainingConfig,
}
_FILLED_IN = {"model": "embedded", "dataset": "rows", "out": "out"}
"""Settings of every trainer that follow from the recipe."""
_REWARDED_BY = {"judge": "scripted", "constitution": "base"}
"""Those of GRPO that do, too."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Prompts(_Model):
    """A file of prompts, as `solon revise` takes it."""

    file: str = Field(description="JSONL, JSON, CSV, Parquet, a saved dataset or hf:NAME.")
    limit: int | None = Field(default=None, ge=1, description="Only the first so many.")
    prompt_column: str | None = None
    id_column: str | None = None
    tags_column: str | None = None


class Helpful(_Model):
    """Helpful conversations to mix into SFT, so that the model does not become evasive."""

    file: str = Field(description="Rows with `prompt` and `completion`, or prompts alone.")
    ratio: float = Field(default=0.2, gt=0, lt=1, description="Share of all rows of SFT.")
    answer: bool = Field(
        default=False, description="The rows are prompts alone: let the base model answer them."
    )
    limit: int | None = Field(default=None, ge=1, description="Only the first so many prompts.")
    prompt_column: str | None = None


class Sampling(_Model):
    """How answers, critiques and revisions are sampled, and the answers that are compared."""

    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.7, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)


class Revise(_Model):
    """The loop; see `solon revise --help`."""

    rounds: int = Field(default=2, ge=1)
    every_principle: bool = False
    stop_when_compliant: bool = False
    stakeholder: str | None = None
    every_revision: bool = Field(
        default=False, description="Train on each revision instead of the last."
    )


class Label(_Model):
    """Preferences of the judge between samples of the policy; see `solon label --help`."""

    samples: int = Field(default=4, ge=2)
    temperature: float = Field(default=1.0, gt=0)
    method: Literal["pointwise", "pairwise"] = "pointwise"
    ensemble: int = Field(default=1, ge=1, description="Principles that judge each pair.")
    pairs: Literal["disjoint", "all"] = "disjoint"
    chain_of_thought: bool = False


class Evaluate(_Model):
    """The table of before and after; see `solon evaluate --help`."""

    principles: int = Field(default=4, ge=1, description="That each held-out prompt meets.")
    judge: str | None = Field(
        default=None, description="A model spec; the judge of the training if not given."
    )
    method: Literal["pairwise", "pointwise"] = "pairwise"
    per_set: int | None = Field(
        default=None, ge=1, description="At most so many harmful prompts, look-alikes, questions."
    )
    attacks: list[str] = Field(default_factory=list, description="Transforms, or [all].")
    tasks: list[str] = Field(
        default_factory=list, description="Files of questions with known answers, not the shipped."
    )


def _as_file(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


PromptsFile = Annotated[Prompts, BeforeValidator(_as_file)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Recipe(_Model):
    """What goes in, what each stage should do, and what they run on."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str = ""
    constitution: str = Field(description="A shipped name, or a file.")
    prompts: PromptsFile
    held_out: Share | PromptsFile = Field(
        default=0.1, description="The share of the prompts to compare on, or a file of others."
    )
    helpful: Helpful | None = None
    model: str = Field(description="embedded, a directory or a hub's name: what is trained.")
    judge: str | None = Field(
        default=None, description="A model spec; the base model if not given."
    )
    keep_truncated: bool = Field(
        default=True,
        description="Learn what ran into max_tokens as far as it goes; false drops it.",
    )
    engine: Literal["auto", "vllm", "transformers"] = Field(
        default="auto",
        description="What answers: auto is vLLM on a GPU; on a CPU vLLM for the revisions and "
        "transformers, which starts in seconds, for the shorter rest.",
    )
    engine_options: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="Engine arguments of vLLM."
    )
    accelerate: str | None = Field(
        default=None, description="A configuration file of accelerate: train on several GPUs."
    )
    seed: int = 0
    test_share: Share = Field(
        default=0.1, description="Share of the training prompts whose loss is watched instead."
    )
    sampling: Sampling = Sampling()
    revise: Revise = Revise()
    sft: dict[str, Any] = Field(default_factory=dict, description="Settings of `solon train sft`.")
    rlaif: Literal["dpo", "grpo"] = "dpo"
    rounds: int = Field(default=1, ge=1, description="Of sampling, judging and DPO.")
    label: Label = Label()
    dpo: dict[str, Any] = Field(default_factory=dict, description="Settings of `solon train dpo`.")
    grpo: dict[str, Any] = Field(
        default_factory=dict, description="Settings of `solon train grpo`."
    )
    evaluate: Evaluate = Evaluate()


def shipped_recipes() -> tuple[str, ...]:
    """Names that `load_recipe` knows."""
    return tuple(sorted(path.stem for path in _LIBRARY.glob("*.yaml")))


def load_recipe(source: str | Path) -> tuple[Recipe, Path]:
    """Read a recipe from a file, or a shipped one by name, and say which file it is.

    Raises InputError with every problem, each with its line.
    """
    path = _LIBRARY / f"{source}.yaml" if str(source) in shipped_recipes() else Path(source)
    if not path.is_file():
        near = nearest(path.stem, shipped_recipes())
        remedy = near or f"name a YAML file, or one of {', '.join(shipped_recipes())}"
        raise InputError(Problem(str(source), "is no recipe", remedy))
    written = read_yaml_file(path)
    problems = [*_section_problems(written)]
    try:
        recipe = checked(written, Recipe)
    except InputError as error:
        raise InputError([*error.problems, *problems]) from None
    if problems:
        raise InputError(problems)
    return recipe, path


def _section_problems(source: YamlSource) -> Iterator[Problem]:
    """What is wrong with the settings of each trainer, known before any stage has run."""
    for name, kind in _TRAINERS.items():
        section = source.data.get(name)
        if not isinstance(section, dict):
            continue
        filled_in = _FILLED_IN | (_REWARDED_BY if name == "grpo" else {})
        for key in filled_in.keys() & section.keys():
            where = source.where((name, key), key=True)
            yield Problem(where, f"{name}.{key} is filled in by the recipe", "take it out")
        whole = replace(source, data={name: {**section, **filled_in}}, problems=())
        try:
            checked(whole, kind, (name,))
        except InputError as error:
            yield from error.problems
