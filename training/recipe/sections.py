"""Sections of a recipe that are no command's own settings."""

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from constitution.typed_yaml import Settings
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile
from engine.settings import LabelSettings, LoopSettings
from training.evaluation.config import EvaluationSettings

__all__ = ["BestOf", "Evaluate", "Helpful", "Label", "Preferences", "Revise"]


class Helpful(Settings):
    """Helpful conversations to mix into SFT, so that the model does not become evasive."""

    file: Annotated[str, InputFile()] = Field(
        description="Rows with `prompt` and `completion`, or prompts alone."
    )
    ratio: float = Field(default=0.2, gt=0, lt=1, description="Share of all rows of SFT.")
    answer: bool = Field(
        default=False, description="The rows are prompts alone: let the base model answer them."
    )
    limit: int | None = Field(
        default=None, ge=1, description="Only the first N prompts, of those to answer."
    )
    prompt_column: str | None = Field(
        default=None, description="Column that holds the prompt, of those to answer."
    )

    @field_validator("limit", "prompt_column")
    @classmethod
    def _is_read(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and not info.data.get("answer"):
            raise ValueError("it is read with `answer: true` alone: add that, or take this out")
        return value


class Revise(LoopSettings):
    """The loop, and which of its revisions are learned."""

    every_revision: bool = Field(
        default=False, description="Train on each revision instead of the last."
    )


class Label(LabelSettings):
    """Preferences of the judge between samples of the policy."""

    temperature: float = Field(
        default=1.0, gt=0, description="Of the samples, in place of the recipe's."
    )


class Preferences(Settings):
    """What people prefer: instead of the judge's labels, or beside them."""

    plain = "file"

    file: Annotated[str, InputFile()] = Field(description="Rows with `chosen` and `rejected`.")
    with_judge: bool = Field(
        default=False, description="The judge labels samples of the policy too."
    )
    weight: int = Field(
        default=3,
        ge=1,
        description="Beside the judge's: each counts this many times, and the judge's about the same "
        "prompts are left out.",
    )


class BestOf(Settings):
    """The curve of over-optimisation of what will reward, on held-out prompts, before it does."""

    samples: int = Field(default=64, ge=2, description="Answers to each prompt.")
    prompts: int | None = Field(default=100, ge=1, description="Of the held-out ones, the first N.")


class Evaluate(EvaluationSettings):
    """The table of before and after."""

    judge: Annotated[str | None, MODEL_SPEC] = Field(
        default=None, description="Another judge than the training's: a model spec."
    )
