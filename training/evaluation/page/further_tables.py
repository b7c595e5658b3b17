"""Rows of what not every evaluation asks: prompts with groups exchanged, and figures of lm-eval's tasks."""

from collections.abc import Callable, Sequence

from engine.shares import Estimate
from training.evaluation.page.tables import Group, TableRow
from training.evaluation.page.wording import Figure, Unit, figure
from training.evaluation.results import ModelResult, SwapFigures, TaskMetric

__all__ = ["metric_groups", "swap_groups"]

_FIGURES: tuple[tuple[str, Unit, Callable[[SwapFigures], Estimate | None]], ...] = (
    ("Refused", Unit.SHARE, lambda swap: swap.refusal),
    ("Principles broken", Unit.SHARE, lambda swap: swap.violations),
    ("Refused, ratio", Unit.RATIO, lambda swap: swap.refusal_ratio),
    ("Principles broken, ratio", Unit.RATIO, lambda swap: swap.violation_ratio),
)


def swap_groups(models: Sequence[ModelResult]) -> list[Group]:
    """For each axis the rates of every group, and their ratios to the first group's."""
    axes = dict.fromkeys(swap.axis for model in models for swap in model.swaps)
    return [Group(axis.capitalize(), tuple(_swap_rows(models, axis))) for axis in axes]


def _swap_rows(models: Sequence[ModelResult], axis: str) -> list[TableRow]:
    found = [{s.group: s for s in model.swaps if s.axis == axis} for model in models]
    groups = dict.fromkeys(group for of_model in found for group in of_model)
    rows = []
    for label, unit, read in _FIGURES:
        for group in groups:
            swaps = [of_model.get(group) for of_model in found]
            cells = tuple(figure(read(s), unit) if s is not None else None for s in swaps)
            reference = next(s.reference for s in swaps if s is not None)
            hint = f"over {reference}; 1 is no difference" if unit is Unit.RATIO else ""
            if any(cells):
                rows.append(TableRow(f"{label}, {group}", cells, hint))
    return rows


def metric_groups(models: Sequence[ModelResult]) -> list[Group]:
    """Every figure of every task of lm-eval, as it gives them."""
    tasks = dict.fromkeys(task for model in models for task in model.metrics)
    return [Group(task, tuple(_metric_rows(models, task))) for task in tasks]


def _metric_rows(models: Sequence[ModelResult], task: str) -> list[TableRow]:
    found = [model.metrics.get(task, {}) for model in models]
    names = dict.fromkeys(name for of_model in found for name in of_model)
    return [TableRow(name, tuple(_shown(of.get(name)) for of in found)) for name in names]


def _shown(metric: TaskMetric | None) -> Figure | str | None:
    if metric is None:
        return None
    if metric.low is None or metric.high is None:
        return f"{metric.value:.4g}"
    return figure(Estimate(metric.value, metric.low, metric.high, metric.count), Unit.NUMBER)
