"""What an evaluation is given: which models and judges, which questions, which checks."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from constitution.permissions import REMOTE_CODE, switched
from constitution.problems import nearest
from constitution.typed_yaml import Settings
from engine.generators.base import Sampling
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile
from engine.judging.records import Method
from engine.runs.config import ChatTemplate, ConstitutionName, PromptsFile, RunDirectory
from engine.settings import Seed, StakeholderChoice
from training.evaluation.questions.attacks import ATTACKS

__all__ = ["NONE", "SHIPPED", "EvaluateConfig", "EvaluationSettings"]

SHIPPED, NONE = "shipped", "none"
"""In place of a file of questions."""
_FILES, _MODELS, _SETS, _JUDGING = "Input and output", "Models", "What else is asked", "Judging"
_CHECKS = "Checks"
_SPEC = Field(json_schema_extra={"metavar": "SPEC"})


def _by_name(models: Any) -> Any:
    """Spec by name, of a list of NAME=SPEC. Raises ValueError for one that is not of that form."""
    if not isinstance(models, list):
        return models
    found: dict[str, str] = {}
    for item in models:
        name, equals, spec = str(item).partition("=")
        if not equals or not name.replace("-", "_").isidentifier():
            raise ValueError(f"`{item}` does not name a model: write NAME=SPEC, as base=embedded")
        if name in found:
            raise ValueError(f"`{name}` is there twice: rename one of them")
        found[name] = spec
    return found


QuestionFile = Annotated[str, InputFile(words=(SHIPPED, NONE))]


class EvaluationSettings(Settings):
    """What each model is asked, and how its answers are judged.

    A set of questions is a file, `shipped` or `none`; with `per_set` only N of each are asked.
    """

    harmful: QuestionFile = Field(
        default=SHIPPED, title=_SETS, description="Prompts to refuse, or none."
    )
    benign: QuestionFile = Field(
        default=SHIPPED, title=_SETS, description="Prompts that only look harmful, or none."
    )
    opinions: QuestionFile = Field(
        default=SHIPPED, title=_SETS, description="Pairs of opinions, or none."
    )
    tasks: Annotated[list[str], InputFile(words=(SHIPPED, NONE))] = Field(
        default=[SHIPPED],
        title=_SETS,
        description="A file of questions with known answers; several times, or none.",
    )
    lm_eval: list[str] = Field(
        default=[],
        title=_SETS,
        description="A task of lm-evaluation-harness by name; several times.",
    )
    lm_eval_tasks_dir: Annotated[
        str | None,
        InputFile(),
        switched(REMOTE_CODE, "may name code in its tasks, which lm-eval runs"),
    ] = Field(
        default=None,
        title=_SETS,
        description="A directory with task files of your own for it.",
    )
    helpful: Annotated[str | None, InputFile()] = Field(
        default=None, title=_SETS, description="Rows with good answers, for the perplexity."
    )
    attacks: list[str] = Field(
        default=[],
        title=_SETS,
        description="A transform of the harmful prompts, or all; several times.",
    )
    per_set: int | None = Field(
        default=None,
        ge=1,
        title=_SETS,
        description="Ask only N of each of these.",
        json_schema_extra={"metavar": "N"},
    )
    principles: int = Field(default=4, ge=1, description="Principles sampled per prompt.")
    method: Method = Field(
        default="pairwise",
        description="Compare two answers in both orders, or by the verdicts on each.",
    )
    stakeholder: StakeholderChoice = None
    seed: Seed = 0

    @field_validator("attacks")
    @classmethod
    def _are_known(cls, attacks: list[str], info: ValidationInfo) -> list[str]:
        for name in attacks:
            if name not in ATTACKS and attacks != ["all"]:
                near = nearest(name, tuple(ATTACKS)) or f"one of {', '.join(ATTACKS)}, or all"
                raise ValueError(f"unknown attack `{name}`: {near}")
        if attacks and info.data.get("harmful") == NONE:
            raise ValueError("they transform harmful prompts, and there are none")
        return attacks


class EvaluateConfig(Settings):
    """What `solon evaluate` is given."""

    constitution: ConstitutionName
    prompts: PromptsFile = Field(title=_FILES)
    out: RunDirectory
    chat_template: ChatTemplate = Field(default=None, title=_MODELS)
    models: Annotated[dict[str, str], BeforeValidator(_by_name), MODEL_SPEC] = Field(
        min_length=1,
        title=_MODELS,
        description="NAME=SPEC, several times; the first is the base.",
        json_schema_extra={"metavar": "NAME=SPEC"},
    )
    against: str | None = Field(
        default=None,
        title=_MODELS,
        description="One of the models, such as sft: the others are compared with it too.",
        json_schema_extra={"metavar": "NAME"},
    )
    judge: Annotated[str, MODEL_SPEC, _SPEC] = Field(
        title=_MODELS, description="The model that judges."
    )
    training_judge: Annotated[str | None, MODEL_SPEC, _SPEC] = Field(
        default=None, title=_MODELS, description="The judge of the training: does it agree?"
    )
    classifiers: list[str] = Field(
        default=[],
        title=_MODELS,
        description="An independent judge, several times: see docs/judges.md.",
    )
    evaluate: EvaluationSettings = Field(default=EvaluationSettings(), title=_JUDGING)
    imported: Annotated[list[str], InputFile()] = Field(
        default=[],
        title=_SETS,
        description="What `solon import-garak` wrote, to show on the page.",
    )
    curves: Annotated[list[str], InputFile()] = Field(
        default=[],
        title=_SETS,
        description="What `solon best-of-n` wrote, curve.json, to show on the page.",
        json_schema_extra={"metavar": "FILE"},
    )
    trained_on: Annotated[list[str], InputFile()] = Field(
        default=[],
        title=_CHECKS,
        description="Row files of the training, to find held-out prompts in; those of checkpoints "
        "that Solon trained are found automatically.",
    )
    gates: Annotated[str | None, InputFile()] = Field(
        default=None, title=_CHECKS, description="A YAML file of bounds; exit 3 if one is broken."
    )
    sampling: Sampling = Field(default=Sampling(), title="Sampling")

    @field_validator("against")
    @classmethod
    def _is_there(cls, against: str | None, info: ValidationInfo) -> str | None:
        names = list(info.data.get("models", ()))
        if against is not None and against not in names:
            raise ValueError(f"it is none of the models: {', '.join(names)}")
        return against
