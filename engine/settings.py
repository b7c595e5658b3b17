"""The settings of a run: how many rounds, which model plays which role, and how it samples.

Each setting is declared here, or in `setting_fields` where other commands have it too, and nowhere
else: its bounds and its description are those of the options, configuration files and recipes that
give it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from constitution.typed_yaml import Settings
from engine.generators.base import Generator, Sampling
from engine.generators.facts import ENOUGH_MASS
from engine.judging.calibration import UNCALIBRATED, Calibration
from engine.judging.records import Method
from engine.setting_fields import JudgeAnyway, KeepTruncated, Seed, SmallestMass, Threshold

__all__ = [
    "AnswerSettings",
    "LabelSettings",
    "LoopSettings",
    "ReportTo",
    "RoleModel",
    "RoleModels",
    "Roles",
    "StakeholderChoice",
    "Tracker",
    "fill_roles",
    "for_stakeholder",
    "roles",
    "samplings_of",
    "specs_of",
]

Model = TypeVar("Model")


def _shares(stakeholder: Any) -> Any:
    """One profile as it is; `user=2,compliance=1` as shares. Raises ValueError for other shapes."""
    if not isinstance(stakeholder, str) or "=" not in stakeholder:
        return stakeholder
    shares = {}
    for part in stakeholder.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise ValueError(
                f"`{part}` is not a share of a profile: write NAME=1,OTHER=2"
            ) from None
    return shares


Share = Annotated[float, Field(gt=0, allow_inf_nan=False)]
StakeholderChoice = Annotated[
    str | Mapping[str, Share] | None,
    BeforeValidator(_shares),
    Field(
        description="A profile that weighs the principles, or shares of several, from which each "
        "prompt draws its own: user=2,business=1."
    ),
]
Tracker = Literal["none", "tensorboard", "wandb", "trackio", "mlflow"]
ReportTo = Annotated[
    Tracker,
    Field(
        description="A tracker that gets figures and samples at the end; its own settings say where."
    ),
]


class LoopSettings(Settings):
    """Which principles a conversation is held against, how it is rewritten, and when that counts.

    `select: random` with `accept: always` and `framing: conversation` is Bai et al. 2022, section
    3.1: `rounds` principles drawn one after another, and every usable revision kept. With any other
    choice of the first two, the judge is asked for one-word verdicts before a word is criticised.
    """

    select: Literal["targeted", "random", "every"] = Field(
        default="targeted",
        description="Criticise the principles that the judge finds broken, the worst first; some "
        "drawn at random; or every one that applies.",
    )
    rounds: int = Field(
        default=2,
        ge=1,
        description="Principles criticised per conversation at most; drawn if random; not read with "
        "`every`.",
    )
    accept: Literal["better", "always"] = Field(
        default="better",
        description="Keep a revision only if the judge finds it better, or always.",
    )
    margin: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="How much less likely a better revision is to break its principle.",
    )
    candidates: int = Field(
        default=1, ge=1, description="Revisions sampled per critique; the best one counts."
    )
    framing: Literal["reviewer", "direct", "conversation", "afresh"] = Field(
        default="reviewer",
        description="Show critic and reviser a quoted conversation; the same, and rewrite without a "
        "critique; go on with the conversation itself; or put the prompt again with the principle's "
        "`revision` after it, for models too small to rewrite.",
    )
    few_shot: bool = Field(
        default=False, description="Show the constitution's examples of the same principle."
    )
    final_check: bool = Field(
        default=True,
        description="Judge the final answer on every principle it met; read where `accept` is always "
        "and `select` random or every, since it is judged anyway otherwise.",
    )
    threshold: Threshold = 0.5
    smallest_mass: SmallestMass = ENOUGH_MASS
    judge_anyway: JudgeAnyway = False
    longest_revision: float = Field(
        default=4.0, gt=0, description="Longest revision, in multiples of the answer's length."
    )
    keep_truncated: KeepTruncated = False
    stakeholder: StakeholderChoice = None
    seed: Seed = 0

    @property
    def judges_first(self) -> bool:
        """Whether the first answer is judged before anything is criticised."""
        return self.select == "targeted" or self.accept == "better"

    @property
    def judges(self) -> bool:
        """Whether anything is judged at all."""
        return self.judges_first or self.final_check


class LabelSettings(Settings):
    """How answers are sampled, paired and judged.

    `disjoint` pairs put each answer in one pair, `all` compares every two. `chain_of_thought`,
    `smallest_mass` and `method` are the judge's, as in `engine.judging.preference`.
    """

    samples: int = Field(default=4, ge=2, description="Answers sampled per prompt.")
    method: Method = Field(
        default="pointwise",
        description="Ask whether each answer breaks the principle, or which of two is better, in "
        "both orders. Small judges can only do the first.",
    )
    ensemble: int = Field(
        default=1, ge=1, description="Principles drawn per pair; their mean is the label."
    )
    pairs: Literal["disjoint", "all"] = Field(
        default="disjoint", description="Each answer in one pair, or every two."
    )
    chain_of_thought: bool = Field(
        default=False,
        description="pairwise: the judge reasons first; its probability is kept within 40 to 60 %.",
    )
    tie_margin: float = Field(
        default=0.02, ge=0, le=0.5, description="A label nearer to a half than this is a tie."
    )
    smallest_mass: SmallestMass = ENOUGH_MASS
    keep_truncated: KeepTruncated = False
    stakeholder: StakeholderChoice = None
    seed: Seed = 0

    @field_validator("chain_of_thought")
    @classmethod
    def _is_asked_for(cls, chain_of_thought: bool, info: ValidationInfo) -> bool:
        if chain_of_thought and info.data.get("method") == "pointwise":
            raise ValueError(
                "a pointwise judge never reasons: add `method: pairwise`, or --method pairwise"
            )
        return chain_of_thought


class AnswerSettings(Settings):
    """Which of a model's own answers become rows to train on, and how they are drawn."""

    keep_truncated: KeepTruncated = False
    seed: Seed = 0


def for_stakeholder(
    constitution: Constitution, stakeholder: str | Mapping[str, float] | None
) -> Constitution:
    """The constitution, if it has the profiles named. Raises InputError naming those it has."""
    named = [stakeholder] if isinstance(stakeholder, str) else list(stakeholder or ())
    for name in named:
        if name not in constitution.stakeholders:
            known = ", ".join(constitution.stakeholders) or "none"
            problem = f"{constitution.name} has no stakeholder `{name}`"
            raise InputError(Problem("stakeholder", problem, f"it has: {known}"))
    return constitution


@dataclass(frozen=True, slots=True)
class RoleModel:
    """A generator and how it samples in one role."""

    generator: Generator
    sampling: Sampling = field(default_factory=Sampling)
    calibration: Calibration = UNCALIBRATED
    """How its verdicts are read, where it judges."""


RoleModels = Mapping[str, RoleModel]
"""Role to the model that plays it."""


def specs_of(models: RoleModels) -> dict[str, str]:
    """Role to the spec of its generator."""
    return {name: role.generator.spec for name, role in models.items()}


def samplings_of(models: RoleModels) -> dict[str, dict[str, Any]]:
    """Role to its sampling parameters."""
    return {name: role.sampling.model_dump() for name, role in models.items()}


@dataclass(frozen=True)
class Roles:
    """Who answers, who criticises, who rewrites, who judges. Equal specs share one generator."""

    policy: RoleModel
    critic: RoleModel
    reviser: RoleModel
    judge: RoleModel

    def __iter__(self) -> Iterator[tuple[str, RoleModel]]:
        yield "policy", self.policy
        yield "critic", self.critic
        yield "reviser", self.reviser
        yield "judge", self.judge

    @cached_property
    def specs(self) -> dict[str, str]:
        """Role to the spec of its generator."""
        return specs_of(dict(self))

    @cached_property
    def samplings(self) -> dict[str, dict[str, Any]]:
        """Role to its sampling parameters."""
        return samplings_of(dict(self))

    @property
    def generators(self) -> tuple[Generator, ...]:
        """Every generator, each once."""
        return tuple({id(role.generator): role.generator for _, role in self}.values())


def fill_roles(
    policy: Model, critic: Model | None, reviser: Model | None, judge: Model | None
) -> dict[str, Model]:
    """Role to what plays it: reviser and judge fall to the critic, and the critic to the policy."""
    critic = policy if critic is None else critic
    return {
        "policy": policy,
        "critic": critic,
        "reviser": critic if reviser is None else reviser,
        "judge": critic if judge is None else judge,
    }


def roles(
    policy: Generator,
    *,
    critic: Generator | None = None,
    reviser: Generator | None = None,
    judge: Generator | None = None,
    sampling: Sampling | None = None,
) -> Roles:
    """One generator in every role, except those given, as `fill_roles` says. All sample alike."""
    filled = fill_roles(policy, critic, reviser, judge)
    sampling = sampling or Sampling()
    return Roles(**{name: RoleModel(generator, sampling) for name, generator in filled.items()})
