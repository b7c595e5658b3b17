"""What `solon redteam` is given."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from constitution.loader import load_for_judging
from constitution.problems import all_problems
from constitution.schema import Constitution
from constitution.typed_yaml import Settings
from engine.generators.base import Sampling
from engine.generators.spec_needs import MODEL_SPEC
from engine.prompts.sources import PromptSource, open_prompts
from engine.redteam.run import RedTeamRun, prompts_of_tests
from engine.redteam.settings import RedTeamSettings
from engine.runs.config import (
    REASONING,
    SPEC,
    ChatTemplate,
    ConstitutionName,
    RunDirectory,
    Window,
    open_roles,
)
from engine.runs.output import Mode
from engine.settings import RoleModel

__all__ = ["RedTeamConfig", "open_redteam_inputs", "open_redteam_run"]


class AttackRoles(Settings):
    """Specs of the model attacked, of the one that attacks and of the one that judges."""

    target: Annotated[str, MODEL_SPEC, SPEC] = Field(description="The model that is attacked.")
    attacker: Annotated[str, MODEL_SPEC, SPEC] = Field(
        description="The model that writes the attacks."
    )
    judge: Annotated[str | None, MODEL_SPEC, SPEC] = Field(
        default=None, description="The model that judges; the attacker if not given."
    )
    chat_template: ChatTemplate = None

    @property
    def specs(self) -> dict[str, str]:
        """Role to the spec of its model."""
        judge = self.judge or self.attacker
        return {"target": self.target, "attacker": self.attacker, "judge": judge}

    def open(self, target: Sampling, attacker: Sampling) -> dict[str, RoleModel]:
        """Role to its model. Raises InputError for a spec that names no generator."""
        opened = open_roles(self.specs, target, self.chat_template)
        samplings = {"target": target, "attacker": attacker, "judge": REASONING}
        return {name: replace(role, sampling=samplings[name]) for name, role in opened.items()}


class RedTeamConfig(Settings):
    """What `solon redteam` is given."""

    constitution: ConstitutionName
    out: RunDirectory
    prompts: str | None = Field(
        default=None,
        description="Prompts to begin with, as `solon prompts` writes them; the prompts of the "
        "constitution's own tests if not given.",
    )
    roles: AttackRoles = Field(title="Models")
    attack: RedTeamSettings = Field(default=RedTeamSettings(), title="The attack")
    window: Window = Field(default=None, title="The attack")
    sampling: Sampling = Field(default=Sampling(max_tokens=256), title="The target's sampling")
    attacker_tokens: int = Field(
        default=160,
        ge=1,
        title="The attack",
        description="Longest message of the attacker, in tokens.",
    )


class RedTeamInputs(NamedTuple):
    """What a configuration names, opened and checked; no model is loaded yet."""

    constitution: Constitution
    models: dict[str, RoleModel]
    prompts: PromptSource


def open_redteam_inputs(config: RedTeamConfig) -> RedTeamInputs:
    """Raises InputError with everything that is wrong."""
    writing = Sampling(max_tokens=config.attacker_tokens, temperature=1.0, top_p=0.95)
    file = config.prompts
    constitution, models, given = all_problems(
        lambda: load_for_judging(config.constitution),
        lambda: config.roles.open(config.sampling, writing),
        lambda: open_prompts(file) if file else None,
    )
    return RedTeamInputs(constitution, models, given or prompts_of_tests(constitution))


def open_redteam_run(config: RedTeamConfig, mode: Mode = "resume") -> RedTeamRun:
    """The run of a configuration. Raises InputError with everything that is wrong."""
    given = open_redteam_inputs(config)
    return RedTeamRun(
        Path(config.out),
        given.prompts,
        given.constitution,
        given.models,
        config.attack,
        mode=mode,
        window=config.window,
    )
