"""What a run is told to do: how many rounds, which model plays which role, and how it samples."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from engine.generators.base import Generator, Sampling
from engine.judging.records import Method

__all__ = ["LabelSettings", "LoopSettings", "RoleModel", "RoleModels", "Roles", "roles"]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How one conversation is held against the constitution.

    `rounds` principles are drawn per conversation, one after another (Bai et al. 2022, section
    3.1); `every_principle` uses all that apply instead. With `stop_when_compliant` a one-token
    verdict comes first and a compliant answer is not critiqued. `final_check` asks the judge about
    every principle met, once the last revision stands. `threshold` is the probability from which
    a verdict counts as a violation. `stakeholder` is a profile of the constitution, or shares of
    several, from which each prompt draws its own. `longest_revision` is in multiples of the answer's length.
    `keep_truncated` accepts revisions that ran into their token limit, flagged; else they are dropped.
    """

    rounds: int = 1
    every_principle: bool = False
    stop_when_compliant: bool = False
    final_check: bool = True
    threshold: float = 0.5
    smallest_mass: float = 0.05
    longest_revision: float = 4.0
    keep_truncated: bool = False
    stakeholder: str | Mapping[str, float] | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How answers are sampled, paired and judged.

    `samples` answers are drawn for each prompt. `disjoint` pairs put each answer in one pair, `all`
    compares every two. `ensemble` principles are drawn for each pair, whose label is the mean of
    their probabilities; one nearer to a half than `tie_margin` is a tie. `chain_of_thought`,
    `smallest_mass` and `method` are the judge's, as in `engine.judging.preference`. `stakeholder` is a
    profile of the constitution, or shares of several, from which each prompt draws its own.
    `keep_truncated` compares answers that ran into their token limit too; else they are dropped.
    """

    samples: int = 4
    method: Method = "pointwise"
    ensemble: int = 1
    pairs: Literal["disjoint", "all"] = "disjoint"
    chain_of_thought: bool = False
    tie_margin: float = 0.02
    smallest_mass: float = 0.05
    keep_truncated: bool = False
    stakeholder: str | Mapping[str, float] | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RoleModel:
    """A generator and how it samples in one role."""

    generator: Generator
    sampling: Sampling = field(default_factory=Sampling)


RoleModels = Mapping[str, RoleModel]
"""Role to the model that plays it."""


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
        return {name: role.generator.spec for name, role in self}

    @cached_property
    def samplings(self) -> dict[str, dict[str, Any]]:
        """Role to its sampling parameters."""
        return {name: asdict(role.sampling) for name, role in self}

    @property
    def generators(self) -> tuple[Generator, ...]:
        """Every generator, each once."""
        return tuple({id(role.generator): role.generator for _, role in self}.values())


def roles(
    policy: Generator,
    *,
    critic: Generator | None = None,
    reviser: Generator | None = None,
    judge: Generator | None = None,
    sampling: Sampling | None = None,
) -> Roles:
    """One generator in every role, save those named. Critiques and revisions sample alike."""
    sampling = sampling or Sampling()
    answer = RoleModel(policy, sampling)
    return Roles(
        policy=answer,
        critic=replace(answer, generator=critic or policy),
        reviser=replace(answer, generator=reviser or critic or policy),
        judge=RoleModel(judge or critic or policy, sampling),
    )
