"""What an evaluation is given: which models and judges, which questions, which checks."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from constitution.permissions import GENERATED_CODE, REMOTE_CODE, Asks, Need, switched
from constitution.problems import nearest
from constitution.typed_yaml import Settings
from engine.generators.base import Sampling
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile
from engine.judging.records import Method
from engine.redteam.transforms import ATTACKS
from engine.runs.config import (
    ChatTemplate,
    ConstitutionName,
    PromptsFile,
    RunDirectory,
    ShardsOn,
)
from engine.runs.workers import Workers
from engine.setting_fields import Seed
from engine.settings import ReportTo, StakeholderChoice
from training.evaluation.harness.lm_eval_tasks import SUITES, code_tasks

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


def _code_needs(tasks: Any) -> list[Need]:
    what = "would run code that models write"
    return [Need(GENERATED_CODE, what)] if code_tasks(map(str, tasks)) else []


def _suite_needs(suites: Any) -> list[Need]:
    return _code_needs([task for suite in suites for task in SUITES.get(suite, ())])


Suite = Literal["tax", "truth", "bias"]
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
    swaps: QuestionFile = Field(
        default=NONE,
        title=_SETS,
        description="Prompts with names and groups to exchange: a YAML file, or shipped.",
    )
    tasks: Annotated[list[str], InputFile(words=(SHIPPED, NONE))] = Field(
        default=[SHIPPED],
        title=_SETS,
        description="A file of questions with known answers; several times, or none.",
    )
    lm_eval: Annotated[list[str], Asks((GENERATED_CODE,), _code_needs)] = Field(
        default=[],
        title=_SETS,
        description="A task of lm-evaluation-harness by name; several times.",
    )
    suites: Annotated[list[Suite], Asks((GENERATED_CODE,), _suite_needs)] = Field(
        default=[],
        title=_SETS,
        description="Tasks of it that belong together: tax (what alignment cost), truth, bias.",
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
        default={},
        title=_MODELS,
        description="NAME=SPEC, several times; the first is the base.",
        json_schema_extra={"metavar": "NAME=SPEC"},
    )
    answers: Annotated[dict[str, str], BeforeValidator(_by_name), InputFile()] = Field(
        default={},
        title=_MODELS,
        description="Answers made elsewhere, as NAME=FILE, several times: rows with a prompt and an "
        "answer, a run, or results of Inspect, promptfoo or OpenAI's evals.",
        json_schema_extra={"metavar": "NAME=FILE"},
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
    lm_eval_results: Annotated[dict[str, str], BeforeValidator(_by_name), InputFile()] = Field(
        default={},
        title=_SETS,
        description="Results that lm-eval wrote elsewhere, as NAME=FOLDER for a model of that name.",
        json_schema_extra={"metavar": "NAME=FOLDER"},
    )
    imported: Annotated[list[str], InputFile()] = Field(
        default=[],
        title=_SETS,
        description="What `solon import-garak` wrote, or a directory of `solon redteam`, to show on the "
        "page.",
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
    report: Annotated[str | None, Field(pattern=r"\.(md|html)$")] = Field(
        default=None,
        title=_FILES,
        description="Also write a risk report for a release: FILE.md or FILE.html.",
        json_schema_extra={"metavar": "FILE"},
    )
    inspect_logs: str | None = Field(
        default=None,
        title=_FILES,
        description="Also write a log of Inspect for each model: a folder for its .eval files.",
        json_schema_extra={"metavar": "FOLDER"},
    )
    report_to: ReportTo = "none"
    sampling: Sampling = Field(default=Sampling(), title="Sampling")
    workers: ShardsOn = Workers()

    @model_validator(mode="after")
    def _is_of_something(self) -> "EvaluateConfig":
        if not self.models and not self.answers:
            raise ValueError("there is nothing to evaluate: give --model NAME=SPEC or --answers")
        if twice := self.models.keys() & self.answers.keys():
            raise ValueError(f"`{min(twice)}` is a model and a file of answers: rename one of them")
        if unknown := self.lm_eval_results.keys() - self.models.keys() - self.answers.keys():
            raise ValueError(f"`{min(unknown)}` has results of lm-eval, and is none of the models")
        return self

    @field_validator("against")
    @classmethod
    def _is_there(cls, against: str | None, info: ValidationInfo) -> str | None:
        names = list(info.data.get("models", ()))
        if against is not None and against not in names:
            raise ValueError(f"it is none of the models: {', '.join(names)}")
        return against
