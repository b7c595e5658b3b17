"""What an evaluation found, as it is written to `results.json` and shown on the page."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from constitution.schema import Severity
from engine.judging.records import Method
from engine.shares import Estimate
from engine.storage.atomic import write_json_atomic
from training.evaluation.further_results import SwapFigures, TaskMetric
from training.evaluation.signs.reward_hacking import Sign
from training.stats.best_of_n import OverOptimisation
from training.stats.bradley_terry import WinRate

__all__ = [
    "RESULTS",
    "AnswerCounts",
    "AnswerVerdict",
    "AttackSuccess",
    "DuelShown",
    "Finding",
    "Gate",
    "ModelAnswer",
    "ModelResult",
    "Pairing",
    "PrincipleShown",
    "PromptAnswers",
    "RefusalRate",
    "Results",
    "SwapFigures",
    "TaskMetric",
    "TrainingCost",
    "read_results",
    "write_results",
]

RESULTS = "results.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason to doubt the figures. `severity` is "warning" or "error"."""

    code: str
    severity: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound that a checkpoint must keep; `measured` is None where there is no figure for it."""

    metric: str
    model: str
    bound: str
    """Such as `at most 0.2`."""
    measured: float | None
    kept: bool


@dataclass(frozen=True, slots=True)
class PrincipleShown:
    """What a reader needs to know of a principle."""

    id: str
    statement: str
    severity: Severity
    exact: bool = False
    """Its check decides, without a judge."""


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """What became of the held-out prompts, and the mean length of an answer in tokens."""

    prompts: int
    failed: int
    empty: int
    truncated: int
    mean_tokens: float | None
    undecided: int = 0
    """Verdicts that the judge could not give; they count neither way."""


@dataclass(frozen=True, slots=True)
class RefusalRate:
    """Share of a prompt set that is refused, by the rules and by the judge (None: not asked)."""

    rules: Estimate | None
    judge: Estimate | None = None
    categories: dict[str, Estimate] = field(default_factory=dict)
    """By the rules, of each category of prompts."""


@dataclass(frozen=True, slots=True)
class AttackSuccess:
    """Harmful prompts under one transform: the share that is complied with, by the rules and by
    the judge (None: not asked)."""

    rules: Estimate | None
    judge: Estimate | None = None


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """What a checkpoint's own training took, and with it those that share its budget."""

    gpu_hours: float
    tokens: int
    steps: int


@dataclass(frozen=True, slots=True)
class ModelResult:
    """One checkpoint. Rates are between 0 and 1; what was not measured is None or left out.

    `violations` is the mean over prompts of the share of their principles that the answer breaks;
    `weighted_violations` weighs each principle by its severity. `tax` is how much mean capability
    was lost against the base, as a difference of shares (positive is worse). `strength` is its
    Bradley-Terry log-strength over that of the base, which has none.
    """

    name: str
    spec: str
    answers: AnswerCounts
    violations: Estimate | None = None
    weighted_violations: Estimate | None = None
    change: Estimate | None = None
    """`violations` less the base's, on the prompts of both."""
    exact_violations: Estimate | None = None
    """Of the principles that their checks alone decide; None where there are none."""
    exact_change: Estimate | None = None
    judged_violations: Estimate | None = None
    """Of the others, where there are both."""
    judged_change: Estimate | None = None
    principles: dict[str, Estimate] = field(default_factory=dict)
    stakeholders: dict[str, Estimate] = field(default_factory=dict)
    """By stakeholder profile, each weighing the principles as the profile does."""
    harmful: RefusalRate | None = None
    benign: RefusalRate | None = None
    capabilities: dict[str, Estimate] = field(default_factory=dict)
    """Accuracy by task."""
    metrics: dict[str, dict[str, TaskMetric]] = field(default_factory=dict)
    """Every figure of the tasks of lm-eval, by task."""
    swaps: tuple[SwapFigures, ...] = ()
    """Of every group of each axis, its reference first."""
    perplexity: Estimate | None = None
    """On held-out helpful answers, per token."""
    tax: Estimate | None = None
    strength: Estimate | None = None
    attacks: dict[str, AttackSuccess] = field(default_factory=dict)
    classifiers: dict[str, Estimate] = field(default_factory=dict)
    """Mean probability of harm by independent classifier."""
    signs: tuple[Sign, ...] = ()
    change_against: Estimate | None = None
    """`violations` less those of `Results.against`, on the prompts of both."""
    cost: TrainingCost | None = None

    @property
    def gain_per_hour(self) -> Estimate | None:
        """By how much fewer principles are broken than by `Results.against`, for a GPU-hour."""
        change, cost = self.change_against, self.cost
        if change is None or cost is None or cost.gpu_hours <= 0:
            return None
        gains = (-change.value, -change.high, -change.low)
        value, low, high = (gain / cost.gpu_hours for gain in gains)
        return Estimate(value, low, high, change.count)

    def refusals(self, which: str) -> RefusalRate:
        """Of the `harmful` or `benign` prompts; without figures where none were asked."""
        return (self.harmful if which == "harmful" else self.benign) or RefusalRate(None)


@dataclass(frozen=True, slots=True)
class Pairing:
    """How often `model` beats `other`; `position_bias` is the judge's on these duels."""

    model: str
    other: str
    result: WinRate
    position_bias: float | None = None
    principles: dict[str, WinRate] = field(default_factory=dict)
    """By the principle that the judge was asked about."""


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """A judge's word on one answer under one principle, or what the principle's check decides."""

    principle: str
    violates: bool | None
    probability: float | None
    reason: str | None = None
    failed: tuple[str, ...] = ()
    """What it does not keep of the principle's check."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One checkpoint's answer; `refusal` is the rule that fired, if any."""

    model: str
    text: str
    refusal: str = ""
    truncated: bool = False
    verdicts: tuple[AnswerVerdict, ...] = ()


@dataclass(frozen=True, slots=True)
class DuelShown:
    """Whose answer to one prompt the judge preferred, under which principle; a tie has no winner.

    `probability` is the judge's that the first of `models` is better, from `answers` as a `Preference`
    has them. Neither is there where the answers are the same, or where `undecided` says why.
    """

    models: tuple[str, str]
    winner: str = ""
    principle: str = ""
    method: Method = "pairwise"
    probability: float | None = None
    answers: tuple[float, float] | None = None
    undecided: str = ""

    @property
    def loser(self) -> str:
        """The other one."""
        return next((model for model in self.models if model != self.winner), "")


@dataclass(frozen=True, slots=True)
class PromptAnswers:
    """One prompt, and every checkpoint's answer to it. `set` is held-out, harmful or benign."""

    id: str
    set: str
    prompt: tuple[dict[str, str], ...]
    answers: tuple[ModelAnswer, ...]
    duels: tuple[DuelShown, ...] = ()


@dataclass(frozen=True, slots=True)
class Results:
    """A whole evaluation. The first model is the base that the others are compared with."""

    constitution: str
    constitution_hash: str
    principles: tuple[PrincipleShown, ...]
    prompts: str
    prompt_count: int
    judge: str
    models: tuple[ModelResult, ...]
    pairings: tuple[Pairing, ...] = ()
    """Every pair once, the earlier model first."""
    findings: tuple[Finding, ...] = ()
    gates: tuple[Gate, ...] = ()
    samples: tuple[PromptAnswers, ...] = ()
    imported: tuple[dict[str, Any], ...] = ()
    """Red-team reports of other tools, by probe: `tool`, `probe`, `detector`, `model`, `attempts`,
    `hits`."""
    curves: tuple[OverOptimisation, ...] = ()
    against: str = ""
    """The model that the others are compared with besides the base, such as the SFT model."""

    def win_over_base(self, model: str) -> Estimate | None:
        """How often a model beats the first one; None where they never met."""
        for pairing in self.pairings:
            if (pairing.model, pairing.other) == (self.models[0].name, model):
                return pairing.result.rate.complement
        return None


_ADAPTER = TypeAdapter(Results)


def write_results(results: Results, folder: Path) -> None:
    """Write `folder/results.json`, whole or not at all."""
    write_json_atomic(folder / RESULTS, _ADAPTER.dump_python(results, mode="json"))


def read_results(folder: Path) -> Results:
    """Raises InputError where `folder` holds no results, or those of another version."""
    path = folder / RESULTS
    try:
        return _ADAPTER.validate_python(
            read_json(path, dict, "name the directory that solon evaluate wrote")
        )
    except ValidationError:
        remedy = "evaluate again into another directory"
        raise InputError([Problem(str(path), "holds no results of this version", remedy)]) from None
