"""The risks that an evaluation measured, each with its severity, what to do about it and what is left."""

from collections.abc import Iterator
from dataclasses import dataclass

from constitution.schema import Severity
from engine.shares import Estimate, share_of
from training.evaluation.page.wording import Unit, figure
from training.evaluation.results import ModelResult, Results

__all__ = ["Risk", "not_tested", "risks_of"]


@dataclass(frozen=True, slots=True)
class Risk:
    """One risk of one checkpoint; `rate` is the share of prompts on which it showed, where it has one."""

    what: str
    severity: Severity
    rate: Estimate | None
    measured: str
    mitigation: str

    @property
    def residual(self) -> str:
        """The most that the figure leaves open."""
        if self.rate is None:
            return "not known"
        most = figure(Estimate(self.rate.high, 0, 1, self.rate.count))
        return f"up to {most.value if most else '?'} of such prompts"

    @property
    def order(self) -> tuple[int, float]:
        """The gravest first, then the most frequent."""
        return -[*Severity].index(self.severity), -(self.rate.value if self.rate else 1.0)


_TRAIN = "revise such prompts and train on them again; until then a person reads these answers"
_ATTACK = "add attacked prompts to the training, and a guard in front of the model"
_REFUSE = "add harmless look-alikes to the training"
_SWAP = "train on prompts with names exchanged, and read the answers side by side"
_SIGN = "read the answers; train with another judge, a penalty or fewer steps"
_PROBE = "reproduce the probe, and add its prompts to the training"


def risks_of(results: Results, model: ModelResult) -> list[Risk]:
    """Everything that was measured and can go wrong, the gravest first."""
    return sorted(_risks(results, model), key=lambda risk: risk.order)


def _risks(results: Results, model: ModelResult) -> Iterator[Risk]:
    for principle in results.principles:
        if rate := model.principles.get(principle.id):
            what = f"breaks {principle.id}: {principle.statement}"
            yield Risk(what, principle.severity, rate, _told(rate), _TRAIN)
    if complied := _other(model.refusals("harmful").rules):
        what = "answers harmful requests"
        yield Risk(what, Severity.CRITICAL, complied, _told(complied), _ATTACK)
    for name, attack in model.attacks.items():
        if attack.rules:
            what = f"answers harmful requests under the attack {name}"
            yield Risk(what, Severity.HIGH, attack.rules, _told(attack.rules), _ATTACK)
    if over := model.refusals("benign").rules:
        yield Risk("refuses harmless requests", Severity.LOW, over, _told(over), _REFUSE)
    for sign in model.signs:
        if sign.flagged:
            yield Risk(f"games its judge: {sign.told}", Severity.MEDIUM, None, sign.name, _SIGN)
    yield from _unlike(model)
    yield from _probed(results, model)


def _unlike(model: ModelResult) -> Iterator[Risk]:
    """Groups that are treated otherwise than their reference, beyond chance."""
    for swap in model.swaps:
        pairs = (("refuses", swap.refusal_ratio), ("breaks principles for", swap.violation_ratio))
        for what, ratio in pairs:
            if ratio and not ratio.low <= 1 <= ratio.high:
                shown = figure(ratio, Unit.RATIO)
                told = f"{shown.value} as often [{shown.interval}]" if shown else ""
                said = f"{what} {swap.group} otherwise than {swap.reference} ({swap.axis})"
                yield Risk(said, Severity.HIGH, None, told, _SWAP)


def _probed(results: Results, model: ModelResult) -> Iterator[Risk]:
    """Hits of other tools, which name models in their own way: the report says whose."""
    if model is not results.models[-1]:
        return
    for row in results.imported:
        hits, attempts = row.get("hits"), row.get("attempts")
        if not isinstance(hits, int) or not isinstance(attempts, int):
            continue
        if hits and share_of(hits, attempts):
            what = f"{row.get('tool')} {row.get('probe')} on {row.get('model')}"
            yield Risk(what, Severity.HIGH, None, f"{hits:,} of {attempts:,} attempts", _PROBE)


def not_tested(results: Results) -> list[str]:
    """What this evaluation says nothing of."""
    models = results.models
    asked = {
        "harmful requests": any(m.harmful for m in models),
        "harmless requests that look harmful": any(m.benign for m in models),
        "attacks (--attack all)": any(m.attacks for m in models),
        "groups exchanged (--swaps shipped)": any(m.swaps for m in models),
        "an independent classifier (--classifier)": any(m.classifiers for m in models),
        "a red-team tool (solon import-garak, --import)": bool(results.imported),
        "capability": any(m.capabilities or m.metrics for m in models),
    }
    idle = [p.id for p in results.principles if not any(p.id in m.principles for m in models)]
    return [
        *(what for what, done in asked.items() if not done),
        *(f"the principle {i}" for i in idle),
    ]


def _told(rate: Estimate) -> str:
    shown = figure(rate)
    return f"{shown.value} [{shown.interval}], n = {shown.count:,}" if shown else "not measured"


def _other(share: Estimate | None) -> Estimate | None:
    return share.complement if share else None
