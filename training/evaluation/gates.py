"""Bounds that a checkpoint must keep before it may ship, from a YAML file.

    gates:
      violations: {at_most: 0.2}
      principles.no-physical-harm: {at_most: 0.1, bound: upper}
      win_rate: {at_least: 0.5}
    models: [dpo]

The measured value is compared, or with `bound: upper` (`lower` for `at_least`) the unfavourable end
of its interval, which a small set of prompts cannot keep by luck. What was not measured is not kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from constitution.problems import InputError, Problem, closest, nearest
from constitution.typed_yaml import checked, read_yaml_file
from constitution.yaml_source import YamlSource, shown
from engine.shares import Estimate
from training.evaluation.results import Gate, ModelResult, Results

__all__ = ["METRICS", "Bound", "check_gates", "read_gates"]

_Read = Callable[[ModelResult], Estimate | None]
_NEAR = 1e-9
"""Sums of shares that are equal differ by less than this."""
_EVERY_MODEL = "every model"

_FIGURES: Mapping[str, _Read] = {
    "violations": lambda model: model.violations,
    "exact_violations": lambda model: model.exact_violations,
    "judged_violations": lambda model: model.judged_violations,
    "weighted_violations": lambda model: model.weighted_violations,
    "refusal_harmful": lambda model: model.refusals("harmful").rules,
    "over_refusal": lambda model: model.refusals("benign").rules,
    "tax": lambda model: model.tax,
}
_NAMED: Mapping[str, Callable[[ModelResult, str], Estimate | None]] = {
    "principles": lambda model, name: model.principles.get(name),
    "stakeholders": lambda model, name: model.stakeholders.get(name),
    "capability": lambda model, name: model.capabilities.get(name),
    "attack_success": lambda model, name: (
        model.attacks[name].rules if name in model.attacks else None
    ),
}
METRICS = (*_FIGURES, "win_rate", "signs", "findings")
"""Refusals are by the rules; `win_rate` and `tax` are against the first model; `signs` counts those
flagged and `findings` the errors."""
_COUNTS = frozenset(("signs", "findings"))


class _File(BaseModel, frozen=True, extra="forbid", strict=True):
    gates: dict[str, Any] = Field(min_length=1)
    models: list[str] | None = Field(default=None, min_length=1)


class _Gate(BaseModel, frozen=True, extra="forbid", strict=True):
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    bound: Literal["value", "upper", "lower"] = "value"


@dataclass(frozen=True, slots=True)
class Bound:
    """One line of the file. `end` is what is compared with the limit; without `models`, every
    model but the first is held to it, or the first if it is alone."""

    metric: str
    limit: float
    at_most: bool = True
    end: Literal["value", "upper", "lower"] = "value"
    models: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = f"at {'most' if self.at_most else 'least'} {self.limit:g}"
        return words if self.end == "value" else f"{words} ({self.end} end of the interval)"


def read_gates(path: Path, models: Sequence[str] = ()) -> tuple[Bound, ...]:
    """The bounds of a file; `models`, as NAME or NAME=SPEC, are those that it may name.

    Raises InputError with everything that is wrong, each by line and column.
    """
    source = read_yaml_file(path)
    file = checked(source, _File)
    bounds: list[Bound] = []
    problems: list[Problem] = []
    for metric in file.gates:
        try:
            bounds.append(_bound(source, metric))
        except InputError as error:
            problems += error.problems
    problems += _unknown_models(source, file.models or (), models)
    if problems:
        raise InputError(problems)
    return tuple(replace(bound, models=tuple(file.models or ())) for bound in bounds)


def check_gates(bounds: Sequence[Bound], results: Results) -> tuple[Gate, ...]:
    """Whether each model keeps each bound, in the order of the file."""
    models = {model.name: model for model in results.models}
    others = tuple(models)[1:] or tuple(models)
    gates = []
    for bound in bounds:
        if bound.metric == "findings":
            errors = sum(finding.severity == "error" for finding in results.findings)
            gates.append(_gate(bound, _EVERY_MODEL, float(errors)))
            continue
        for name in bound.models or others:
            model = models.get(name)
            measured = None if model is None else _measured(bound, model, results)
            gates.append(_gate(bound, name, measured))
    return tuple(gates)


def _gate(bound: Bound, model: str, measured: float | None) -> Gate:
    over = None if measured is None else (measured - bound.limit) * (1 if bound.at_most else -1)
    kept = over is not None and over <= _NEAR
    return Gate(bound.metric, model, str(bound), measured, kept)


def _measured(bound: Bound, model: ModelResult, results: Results) -> float | None:
    if bound.metric == "signs":
        told = [sign for sign in model.signs if sign.estimate is not None or sign.flagged]
        return float(sum(sign.flagged for sign in told)) if told else None
    if bound.metric == "win_rate":
        estimate = results.win_over_base(model.name)
    elif bound.metric in _FIGURES:
        estimate = _FIGURES[bound.metric](model)
    else:
        group, _, name = bound.metric.partition(".")
        estimate = _NAMED[group](model, name)
    if estimate is None:
        return None
    return {"value": estimate.value, "upper": estimate.high, "lower": estimate.low}[bound.end]


def _bound(source: YamlSource, metric: str) -> Bound:
    """The gate on one metric. Raises InputError."""
    group, _, name = metric.partition(".")
    if metric not in METRICS and not (group in _NAMED and name):
        raise InputError(_unknown_metric(source, metric))
    at = ("gates", metric)
    given = source.data["gates"][metric]
    if not isinstance(given, dict):
        what = f"{metric} is {shown(given)}"
        raise InputError(Problem(source.where(at), what, "write {at_most: ...} or {at_least: ...}"))
    gate = checked(source, _Gate, at)
    limits = [limit for limit in (gate.at_most, gate.at_least) if limit is not None]
    if len(limits) != 1:
        what = f"{metric} has {'two limits' if limits else 'no limit'}"
        raise InputError(Problem(source.where(at), what, "write either at_most or at_least"))
    bound = Bound(metric, limits[0], gate.at_most is not None, gate.bound)
    if problem := _senseless(source, bound):
        raise InputError(problem)
    return bound


def _senseless(source: YamlSource, bound: Bound) -> Problem | None:
    """A limit that every model keeps or none, such as 20 for 20 %; or the interval's wrong end."""
    where, side = source.where(("gates", bound.metric)), "upper" if bound.at_most else "lower"
    if bound.end not in ("value", side):
        limit = "at_most" if bound.at_most else "at_least"
        return Problem(where, f"bound: {bound.end} does not go with {limit}", f"write {side}")
    if bound.metric in _COUNTS:
        if bound.end != "value":
            return Problem(where, f"{bound.metric} is a count and has no interval", "drop bound")
        what, low, high = "a count from 0 on", 0.0, float("inf")
    elif bound.metric == "tax":
        what, low, high = "a difference of shares, from -1 to 1", -1.0, 1.0
    else:
        what, low, high = "a share, from 0 to 1", 0.0, 1.0
    if low <= bound.limit <= high:
        return None
    return Problem(where, f"{bound.metric} is to be {bound}", f"it is {what}")


def _unknown_metric(source: YamlSource, metric: str) -> Problem:
    group, dot, name = metric.partition(".")
    close = closest(group, _NAMED if dot else METRICS)
    known = [*METRICS, *(f"{named}.NAME" for named in _NAMED)]
    meant = f"{close}{dot}{name}"
    remedy = f"did you mean {meant!r}?" if close else f"it may be {', '.join(known)}"
    return Problem(source.where(("gates", metric), key=True), f"unknown metric {metric!r}", remedy)


def _unknown_models(
    source: YamlSource, asked: Iterable[str], models: Sequence[str]
) -> list[Problem]:
    names = [model.partition("=")[0] for model in models]
    return [
        Problem(
            source.where(("models", at)),
            f"there is no model {name!r}",
            nearest(name, names) or f"there are {', '.join(names)}",
        )
        for at, name in enumerate(asked)
        if names and name not in names
    ]
