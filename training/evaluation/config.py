"""What an evaluation can be given: which models, which questions, which checks, which settings."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from engine.generators.base import Sampling
from engine.judging.records import Method

__all__ = ["NONE", "SHIPPED", "EvaluateConfig"]

SHIPPED, NONE = "shipped", "none"
"""In place of a file of questions."""


class EvaluateConfig(BaseModel):
    """Everything that `solon evaluate` can be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    constitution: str = Field(description="A YAML file, or a shipped name.")
    prompts: str = Field(
        description="JSONL, JSON, CSV, Parquet, a saved dataset, or hf:NAME: held-out prompts."
    )
    limit: int | None = Field(default=None, ge=1, description="Only the first N prompts.")
    out: Path = Field(description="The run directory; the same command resumes it.")

    models: Mapping[str, str] = Field(
        min_length=1, description="NAME=SPEC, several times; the first is the base."
    )
    judge: str = Field(description="Spec of the model that judges.")
    training_judge: str | None = Field(
        default=None, description="The judge of the training: does it agree?"
    )
    classifiers: tuple[str, ...] = Field(
        default=(), description="An independent judge: see docs/judges.md."
    )

    harmful: str = Field(default=SHIPPED, description="Prompts to refuse, or none.")
    benign: str = Field(default=SHIPPED, description="Prompts that only look harmful, or none.")
    opinions: str = Field(default=SHIPPED, description="Pairs of opinions, or none.")
    tasks: tuple[str, ...] = Field(
        default=(SHIPPED,),
        description="A file of questions with known answers; several times, or none.",
    )
    lm_eval: tuple[str, ...] = Field(
        default=(), description="A task of lm-evaluation-harness by name; several times."
    )
    lm_eval_tasks_dir: Path | None = Field(
        default=None, description="A directory with task files of your own for it."
    )
    helpful: str | None = Field(
        default=None, description="Rows with good answers, for the perplexity."
    )
    attacks: tuple[str, ...] = Field(
        default=(), description="A transform of the harmful prompts, or all."
    )
    per_set: int | None = Field(default=None, ge=1, description="Ask only N of each of these.")
    imported: tuple[Path, ...] = Field(
        default=(), description="What `solon import-garak` wrote, to show on the page."
    )

    principles: int = Field(default=4, ge=1, description="Principles sampled per prompt.")
    method: Method = Field(
        default="pairwise",
        description="Compare two answers in both orders, or by the verdicts on each.",
    )
    stakeholder: str | Mapping[str, float] | None = Field(
        default=None, description="A profile that weighs the principles, or shares of several."
    )
    seed: int = Field(default=0, description="Seed of draws and sampling.")
    sampling: Sampling = Sampling()

    trained_on: tuple[Path, ...] = Field(
        default=(),
        description="Row files of the training, to find held-out prompts in; those of checkpoints "
        "that Solon trained are found automatically.",
    )
    gates: Path | None = Field(
        default=None, description="A YAML file of bounds; exit 3 if one is broken."
    )
