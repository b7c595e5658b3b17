"""An evaluation in the terminal: the page's figures, a column for each model."""

from rich.console import Console

from scripts.commands.terminal import figures_table
from training.evaluation.page.tables import attack_rows, checkpoint_groups, named_rows
from training.evaluation.page.wording import Figure
from training.evaluation.results import ModelResult, Results

__all__ = ["print_results"]

_SIGN_NAMES = 3


def print_results(results: Results, console: Console) -> None:
    """The table, the reasons to doubt it, and the gates."""
    models = results.models
    table = figures_table("", *(model.name for model in models))
    rows = [row for group in checkpoint_groups(results) for row in group.rows]
    rows += named_rows(models, lambda model: model.capabilities)
    for row in rows:
        table.add_row(row.label, *map(_cell, row.cells))
    for by_rules, _ in attack_rows(models):
        table.add_row(f"Complies under {by_rules.label}", *map(_cell, by_rules.cells))
    table.add_row("Signs of reward hacking", *map(_signs, models))
    console.print(table)
    console.print(
        f"{results.prompt_count:,} held-out prompts, judged by {results.judge}; base: "
        f"{models[0].name}; in brackets 95 % intervals"
    )
    for model in models:
        for sign in model.signs:
            if sign.flagged:
                console.print(f"{model.name}: {sign.told}", style="yellow")
    _print_findings(results, console)
    _print_gates(results, console)


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
