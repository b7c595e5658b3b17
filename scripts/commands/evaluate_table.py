"""An evaluation in the terminal: how far its stages are, then the page's figures, a column a model."""

import time
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from engine.report.wording import duration
from scripts.commands.terminal import figures_table
from training.evaluation.page.further_tables import metric_groups, swap_groups
from training.evaluation.page.headline import headline
from training.evaluation.page.tables import attack_rows, checkpoint_groups, named_rows
from training.evaluation.page.wording import Figure
from training.evaluation.results import ModelResult, Results

__all__ = ["StageProgress", "print_results"]

_EVERY = 10.0
"""Seconds between lines in a log."""
_SURE = 0.05
"""The share that must be done before the rest can be foreseen."""

_SIGN_NAMES = 3


def print_results(results: Results, console: Console) -> None:
    """The table, the reasons to doubt it, and the gates."""
    models = results.models
    table = figures_table("", *(model.name for model in models))
    rows = [row for group in checkpoint_groups(results) for row in group.rows]
    rows += named_rows(models, lambda model: model.capabilities)
    for group in (*swap_groups(models), *metric_groups(models)):
        rows += [replace(row, label=f"{group.title}: {row.label}") for row in group.rows]
    for row in rows:
        table.add_row(row.label, *map(_cell, row.cells))
    for by_rules, _ in attack_rows(models):
        table.add_row(f"Complies under {by_rules.label}", *map(_cell, by_rules.cells))
    table.add_row("Signs of reward hacking", *map(_signs, models))
    console.print(table)
    exact = bool(results.principles) and all(p.exact for p in results.principles)
    decided = "decided by checks" if exact else f"judged by {results.judge}"
    console.print(
        f"{results.prompt_count:,} held-out prompts, {decided}; base: {models[0].name}; "
        "in brackets 95 % intervals"
    )
    for model in models:
        for sign in model.signs:
            if sign.flagged:
                console.print(f"{model.name}: {sign.told}", style="yellow")
    for curve in results.curves:
        if curve.flagged:
            console.print(f"{curve.reward}: {curve.told}", style="yellow", soft_wrap=True)
    _print_findings(results, console)
    _print_gates(results, console)
    for said in headline(results):
        console.print(said, style="bold", soft_wrap=True)


def _cell(value: Figure | str | None) -> str:
    if isinstance(value, Figure):
        return f"{value.value} [{value.interval}]"
    return value or "-"


def _signs(model: ModelResult) -> str:
    flagged = [sign.name.replace("_", " ") for sign in model.signs if sign.flagged]
    return ", ".join(flagged[:_SIGN_NAMES]) + (", ..." if len(flagged) > _SIGN_NAMES else "") or "-"


def _print_findings(results: Results, console: Console) -> None:
    for finding in results.findings:
        style = "red" if finding.severity == "error" else "yellow"
        remedy = f"; {finding.remedy}" if finding.remedy else ""
        line = f"{finding.severity} {finding.code}: {finding.message}{remedy}"
        console.print(line, style=style, soft_wrap=True)


def _print_gates(results: Results, console: Console) -> None:
    for gate in results.gates:
        measured = "not measured" if gate.measured is None else f"{gate.measured:.3f}"
        state = "kept" if gate.kept else "BROKEN"
        line = f"gate {gate.metric} of {gate.model}: {measured}, {gate.bound}: {state}"
        console.print(line, style="green" if gate.kept else "red")


class StageProgress:
    """Called with what is being done, how much of it is done, and all of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            TextColumn("{task.fields[left]}", style="dim"),
        )
        self._bar = Progress(*columns, console=console, transient=True)
        self._shown = None if not console.is_terminal else self._bar.add_task("", total=1, left="")
        self._what = ""
        self._began = self._last = 0.0
        self._first: tuple[float, int] | None = None
        """When the first answers had come, and how many: before that the model was loaded."""

    def __enter__(self) -> "StageProgress":
        if self._shown is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end_stage(finished=kind is None)
        if self._shown is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show it; a stage ends when another one begins."""
        now = time.monotonic()
        if what != self._what:
            self._end_stage(finished=True)
            self._what, self._began, self._last, self._first = what, now, now, None
        left = self._left(now, done, total)
        if self._shown is not None:
            self._bar.update(
                self._shown, description=what, completed=done, total=max(1, total), left=left
            )
        elif now - self._last >= _EVERY and done < total:
            self._last = now
            self._console.print(f"{what}: {done:,}/{total:,} {left}", soft_wrap=True)

    def _left(self, now: float, done: int, total: int) -> str:
        if self._first is None:
            if done:
                self._first = (now, done)
            return ""
        since, before = self._first
        if done - before < _SURE * total:
            return ""
        return f"left {duration((now - since) / (done - before) * (total - done))}"

    def _end_stage(self, *, finished: bool) -> None:
        if self._what and finished:
            took = duration(time.monotonic() - self._began)
            self._console.print(f"{self._what}: done in {took}", soft_wrap=True)
        self._what = ""
