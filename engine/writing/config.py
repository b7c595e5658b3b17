"""What `solon prompts` is given."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from constitution.loader import load_for_judging
from constitution.problems import all_problems
from constitution.schema import Constitution
from constitution.typed_yaml import Settings
from engine.generators.base import Sampling
from engine.generators.spec_needs import MODEL_SPEC
from engine.runs.config import SPEC, ChatTemplate, ConstitutionName, Window, open_roles
from engine.runs.directory import PROMPTS
from engine.runs.manifest import read_manifest
from engine.runs.output import Mode
from engine.settings import RoleModel
from engine.storage.atomic import check_file
from engine.writing.run import PromptsRun
from engine.writing.settings import PromptSettings

__all__ = ["PromptsConfig", "open_prompts_inputs", "open_prompts_run"]


class WriterRoles(Settings):
    """Specs of the model that writes, and of those that say which prompts are hard."""

    model: Annotated[str, MODEL_SPEC, SPEC] = Field(
        description="The model that writes: embedded, vllm:NAME, server:MODEL@URL, "
        "transformers:NAME or scripted[:FILE]."
    )
    policy: Annotated[str | None, MODEL_SPEC, SPEC] = Field(
        default=None,
        description="With --hard: the model that answers; the one that writes if not given.",
    )
    judge: Annotated[str | None, MODEL_SPEC, SPEC] = Field(
        default=None, description="With --hard: the model that judges; the policy if not given."
    )
    chat_template: ChatTemplate = None

    @property
    def specs(self) -> dict[str, str]:
        """Role to the spec of its model, each falling to the one before."""
        policy = self.policy or self.model
        return {"writer": self.model, "policy": policy, "judge": self.judge or policy}

    def open(self, sampling: Sampling, *, hard: bool) -> dict[str, RoleModel]:
        """Role to its model; the writer alone unless hard prompts are wanted.

        Raises InputError for a spec that names no generator.
        """
        specs = self.specs if hard else {"writer": self.model}
        return open_roles(specs, sampling, self.chat_template)


class PromptsConfig(Settings):
    """What `solon prompts` is given."""

    constitution: ConstitutionName
    out: str = Field(
        description="The JSONL file of the prompts; the run's directory stands beside it, under its "
        "name without the ending."
    )
    roles: WriterRoles = Field(title="Models")
    prompts: PromptSettings = Field(default=PromptSettings(), title="Prompts")
    window: Window = Field(default=None, title="Prompts")
    sampling: Sampling = Field(
        default=Sampling(max_tokens=200, temperature=0.5, top_p=0.95), title="Sampling"
    )

    @field_validator("out")
    @classmethod
    def _names_a_file(cls, out: str) -> str:
        if Path(out).name in ("", ".."):
            raise ValueError("name a file, such as prompts.jsonl")
        return out

    @model_validator(mode="after")
    def _roles_have_a_use(self) -> "PromptsConfig":
        if self.prompts.hard is None and (self.roles.policy or self.roles.judge):
            raise ValueError("`policy` and `judge` are asked for hard prompts alone: add `hard`")
        return self

    @property
    def file(self) -> Path:
        """Where the prompts are written."""
        path = Path(self.out)
        return path if path.suffix else path / "prompts.jsonl"

    @property
    def directory(self) -> Path:
        """Where the run is kept."""
        return Path(self.out).with_suffix("")


def open_prompts_inputs(config: PromptsConfig) -> tuple[Constitution, dict[str, RoleModel]]:
    """The constitution and the models. Raises InputError with everything that is wrong."""
    hard = config.prompts.hard is not None
    constitution, models = all_problems(
        lambda: load_for_judging(config.constitution),
        lambda: config.roles.open(config.sampling, hard=hard),
    )
    return constitution, models


def open_prompts_run(config: PromptsConfig, mode: Mode = "resume") -> PromptsRun:
    """The run of a configuration. Raises InputError with everything that is wrong, and where its file
    is there already and not a run's of its directory, unless `mode` is to overwrite."""
    own = (read_manifest(config.directory) or {}).get("kind") == PROMPTS.output.name
    check_file(config.file, mode == "overwrite" or own, Path(config.constitution))
    constitution, models = open_prompts_inputs(config)
    return PromptsRun(
        config.directory,
        config.file,
        constitution,
        models,
        config.prompts,
        mode=mode,
        window=config.window,
    )
