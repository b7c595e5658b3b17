"""`solon report`: a run as a page, and its numbers in the terminal."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.records import Outcome
from engine.report import PrincipleSummary, RunSummary, build_report
from engine.report.wording import decimal, percent, visible

__all__ = ["print_summary", "report"]

_NUMBERS = ("drawn", "compliant", "revised", "yield", "dropped", "still broken", "undecided")


def report(
    run: Annotated[Path, typer.Argument(help="Directory that a run was written to.")],
    sample: Annotated[int, typer.Option(min=0, help="Conversations to show.")] = 60,
    seed: Annotated[int, typer.Option(help="Which conversations are shown.")] = 0,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page.")] = False,
) -> None:
    """Write a run's report, one self-contained HTML page, and print its path."""
    path = build_report(run, sample=sample, seed=seed)
    Console().print(str(path), soft_wrap=True, highlight=False, markup=False)
    if open_page:
        webbrowser.open(path.resolve().as_uri())


def print_summary(summary: RunSummary, console: Console) -> None:
    """The run's numbers as a table, a line for each principle and one for all prompts."""
    title = escape(_headline(summary))
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    table.add_column("principle", overflow="fold")
    for name in _NUMBERS:
        table.add_column(name, justify="right")
    for principle in summary.principles:
        table.add_row(escape(visible(principle.id)), *_numbers(principle))
    console.print(table)
    console.print(_totals(summary), highlight=False)
    for reason, count in sorted(summary.drop_reasons.items(), key=lambda item: -item[1]):
        console.print(f"  dropped {count:,}: {reason.replace('_', ' ')}", highlight=False)
    for kind, count in sorted(summary.failure_kinds.items(), key=lambda item: -item[1]):
        told = f"  failed {count:,}: {kind.reason.replace('_', ' ')} ({kind.stage})"
        console.print(escape(visible(told)), highlight=False)


def _headline(summary: RunSummary) -> str:
    constitution = summary.constitution
    name = f"{constitution.get('name', 'unnamed')} {constitution.get('version', '')}".strip()
    state = "complete" if summary.complete else "interrupted"
    return visible(f"{summary.name}: {name}, {state}")


def _numbers(principle: PrincipleSummary) -> tuple[str, ...]:
    return (
        decimal(principle.drawn),
        decimal(principle.skipped),
        decimal(principle.revised),
        percent(principle.revision_yield),
        decimal(principle.dropped),
        f"[red]{principle.violated:,}[/red]" if principle.violated else "0",
        decimal(principle.undecided),
    )


def _totals(summary: RunSummary) -> str:
    count = {outcome: summary.outcomes.get(outcome, 0) for outcome in Outcome}
    return (
        f"{summary.prompts:,} prompts: {count[Outcome.REVISED]:,} revised "
        f"({percent(summary.revision_yield)} of those not compliant), "
        f"{count[Outcome.COMPLIANT]:,} compliant, {count[Outcome.DROPPED]:,} dropped, "
        f"{summary.failed:,} failed, {summary.escalated:,} escalated"
    )
