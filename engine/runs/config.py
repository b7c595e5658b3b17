"""What `solon revise`, `label` and `answer` are given: which files, which models, which settings.

A file for `--config` holds one of these, and every option of the command stands for one key of it.
A field's `title` is the heading under which `--help` lists it.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

from pydantic import Field

from constitution.typed_yaml import Settings
from engine.generators.base import Sampling
from engine.generators.spec import open_generator, require_template_use
from engine.generators.spec_needs import MODEL_SPEC
from engine.generators.vllm import share_engines
from engine.input_files import InputFile
from engine.prompts.rows import PromptFormat
from engine.prompts.sources import PromptSource, open_prompts
from engine.runs.workers import Workers
from engine.settings import (
    AnswerSettings,
    LabelSettings,
    LoopSettings,
    ReportTo,
    RoleModel,
    fill_roles,
)

__all__ = [
    "REASONING",
    "SPEC",
    "AnswerConfig",
    "ChatTemplate",
    "ConstitutionName",
    "LabelConfig",
    "LabelRoles",
    "LoopConfig",
    "LoopTestConfig",
    "OtherRoles",
    "PolicySpec",
    "PromptsFile",
    "ReviseConfig",
    "RoleSpecs",
    "RunConfig",
    "RunDirectory",
    "ShardsOn",
    "Window",
    "open_roles",
]

_FILES, _MODELS, _LOOP, _SAMPLING = "Input and output", "Models", "The loop", "Sampling"

REASONING = Sampling(max_tokens=256, temperature=0.0)
"""How a judge writes its chain of thought: a label should not depend on luck."""

SPEC = Field(json_schema_extra={"metavar": "SPEC"})
"""Beside `MODEL_SPEC`: what help texts call the value of the option."""
ShardsOn = Annotated[Workers, Field(title="Several machines")]
"""A command that can be run in shards has these settings."""

ConstitutionName = Annotated[str, Field(description="A YAML file, or a shipped name.")]
RunDirectory = Annotated[str, Field(description="The run directory; the same command resumes it.")]
ChatTemplate = Annotated[
    str | None,
    InputFile(),
    Field(description="A Jinja file, for models without a chat template."),
]
Window = Annotated[
    int | None,
    Field(
        ge=1,
        description="Conversations in flight; fitted to the KV cache if not given.",
    ),
]


class PromptsFile(Settings):
    """Prompts and what to read of them; a plain string is the file."""

    plain: ClassVar[str | None] = "file"

    file: Annotated[str, InputFile(several=True)] = Field(
        description="JSONL, JSON, CSV (also .gz, .zst), Parquet, a saved dataset or hf:NAME; several as "
        "a folder, a pattern or with commas; - is standard input."
    )
    prompt_column: str | None = Field(default=None, description="Column that holds the prompt.")
    id_column: str | None = Field(default=None, description="Column that holds the id.")
    tags_column: str | None = Field(default=None, description="Column that holds the tags.")
    prompt_format: PromptFormat | None = Field(
        default=None,
        description="How to read a text that is a conversation (JSON messages, Human: ... Assistant: "
        "...): its turns, less a last answer, or one user turn.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Only the first N prompts.",
        json_schema_extra={"metavar": "N"},
    )

    def open(self, shards: int | None = None) -> PromptSource:
        """The prompts, of which so many shards are to be made. Raises InputError with everything that
        is wrong in the file."""
        return open_prompts(
            self.file,
            prompt_column=self.prompt_column,
            id_column=self.id_column,
            tags_column=self.tags_column,
            prompt_format=self.prompt_format,
            limit=self.limit,
            shards=shards,
        )


class PolicySpec(Settings):
    """The spec of the model that answers."""

    policy: Annotated[str, MODEL_SPEC, SPEC] = Field(
        description="embedded, vllm:NAME, server:MODEL@URL, transformers:NAME or "
        "scripted[:FILE]; engine options follow as ?key=value&key=value."
    )
    chat_template: ChatTemplate = None

    @property
    def specs(self) -> dict[str, str]:
        """Role to the spec of its model."""
        return {"policy": self.policy}

    def open(self, sampling: Sampling) -> dict[str, RoleModel]:
        """Role to its model; equal specs share one generator, and models of one base an engine.

        Raises InputError for a spec that names no generator.
        """
        return open_roles(self.specs, sampling, self.chat_template)


def open_roles(
    specs: Mapping[str, str], sampling: Sampling, chat_template: str | None
) -> dict[str, RoleModel]:
    """Role to its model; equal specs share one generator, and models of one base an engine.

    Raises InputError for a spec that names no generator, and as `require_template_use` does.
    """
    require_template_use(specs.values(), chat_template)
    generators = {
        spec: open_generator(spec, chat_template=chat_template)
        for spec in dict.fromkeys(specs.values())
    }
    share_engines(generators.values())
    return {role: RoleModel(generators[spec], sampling) for role, spec in specs.items()}


class LabelRoles(PolicySpec):
    """Specs of the model that answers and of the model that judges."""

    judge: Annotated[str, MODEL_SPEC, SPEC] = Field(description="The model that judges.")

    @property
    def specs(self) -> dict[str, str]:
        """Role to the spec of its model."""
        return {"policy": self.policy, "judge": self.judge}

    def open(self, sampling: Sampling) -> dict[str, RoleModel]:
        """As for every command, but that the judge does not sample as the policy does."""
        opened = super().open(sampling)
        return {**opened, "judge": replace(opened["judge"], sampling=REASONING)}


class OtherRoles(Settings):
    """Specs of the models beside the policy; those that are not given fall as `fill_roles` says."""

    critic: Annotated[str | None, MODEL_SPEC, SPEC] = Field(
        default=None, description="Another model as critic, reviser and judge."
    )
    reviser: Annotated[str | None, MODEL_SPEC, SPEC] = Field(
        default=None, description="Another model as reviser."
    )
    judge: Annotated[str | None, MODEL_SPEC, SPEC] = Field(
        default=None, description="Another model as judge."
    )


class RoleSpecs(OtherRoles, PolicySpec):
    """Specs of the models in the loop's roles."""

    @property
    def specs(self) -> dict[str, str]:
        """Role to the spec of its model."""
        return fill_roles(self.policy, self.critic, self.reviser, self.judge)


class LoopConfig(Settings):
    """The models in the loop's roles, and what they do: all that `solon try` is given."""

    roles: RoleSpecs = Field(default=RoleSpecs(policy="embedded"), title=_MODELS)
    revise: LoopSettings = Field(default=LoopSettings(rounds=2), title=_LOOP)
    sampling: Sampling = Field(default=Sampling(), title=_SAMPLING)


Limit = Annotated[float | None, Field(ge=0, le=1, json_schema_extra={"metavar": "SHARE"})]


class LoopTestConfig(LoopConfig):
    """What `solon constitution test` is given: without `loop`, nothing but who judges."""

    loop: bool = Field(
        default=False,
        title=_FILES,
        description="Run the loop on the tests' answers: are violating ones repaired, and compliant "
        "ones left as good?",
    )
    alone: bool = Field(
        default=False,
        description="With --loop: hold each answer against its own principle alone, as if it were known "
        "which one matters.",
    )
    out: str | None = Field(
        default=None,
        description="With --loop: a JSONL file for every record with its test.",
        json_schema_extra={"metavar": "FILE"},
    )
    max_damage: Limit = Field(
        default=None,
        description="With --loop: exit 1 if a larger share of the compliant answers is damaged.",
    )
    min_repair: Limit = Field(
        default=None,
        description="With --loop: exit 1 if a smaller share of the violating answers is repaired.",
    )

    @property
    def of_the_loop(self) -> tuple[str, ...]:
        """Which settings of the loop differ from the defaults."""
        plain = type(self)()
        own = [
            name for name in ("out", "max_damage", "min_repair") if getattr(self, name) is not None
        ]
        own += ["alone"] * self.alone
        for section in ("revise", "sampling"):
            default = getattr(plain, section)
            own += [n for n, value in getattr(self, section) if value != getattr(default, n)]
        return tuple(own)


class ReviseConfig(LoopConfig):
    """What `solon revise` is given."""

    constitution: ConstitutionName
    prompts: PromptsFile = Field(title=_FILES)
    out: RunDirectory
    roles: RoleSpecs = Field(title=_MODELS)
    revise: LoopSettings = Field(default=LoopSettings(), title=_LOOP)
    window: Window = Field(default=None, title=_LOOP)
    report_to: ReportTo = "none"
    workers: ShardsOn = Workers()


class LabelConfig(Settings):
    """What `solon label` is given."""

    constitution: ConstitutionName
    prompts: PromptsFile = Field(title=_FILES)
    out: RunDirectory
    roles: LabelRoles = Field(title=_MODELS)
    label: LabelSettings = Field(default=LabelSettings(), title="Labels")
    window: Window = Field(default=None, title="Labels")
    report_to: ReportTo = "none"
    sampling: Sampling = Field(default=Sampling(temperature=1.0), title=_SAMPLING)
    workers: ShardsOn = Workers()


class AnswerConfig(Settings):
    """What `solon answer` is given."""

    prompts: PromptsFile = Field(title=_FILES)
    out: RunDirectory
    roles: PolicySpec = Field(title=_MODELS)
    sampling: Sampling = Field(default=Sampling(), title=_SAMPLING)
    answer: AnswerSettings = Field(default=AnswerSettings(), title=_SAMPLING)
    window: Window = Field(default=None, title=_SAMPLING)
    workers: ShardsOn = Workers()


RunConfig = ReviseConfig | LabelConfig | AnswerConfig
"""Of a command that makes a run."""
