"""A run's numbers in the terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.records import DropReason, Outcome
from engine.report import PrincipleSummary, RunSummary
from engine.report.wording import decimal, percent, visible

__all__ = ["print_summary"]

_REMEDIES = {DropReason.TRUNCATED_REVISION: " (raise --max-tokens, or add --keep-truncated)"}
_NUMBERS = ("drawn", "kept", "revised", "yield", "dropped", "broken")
_UNSURE = "unsure"
"""A column of its own only where the judge left something undecided."""


def print_summary(summary: RunSummary, console: Console) -> None:
    """The run's numbers as a table, a line for each principle and one for all prompts."""
    title = escape(_headline(summary))
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    unsure = any(principle.undecided for principle in summary.principles)
    table.add_column("principle", overflow="fold", min_width=24)
    for name in (*_NUMBERS, *((_UNSURE,) if unsure else ())):
        table.add_column(name, justify="right")
    for principle in summary.principles:
        last = (decimal(principle.undecided),) if unsure else ()
        table.add_row(escape(visible(principle.id)), *_numbers(principle), *last)
    console.print(table)
    console.print(_totals(summary), highlight=False)
    for reason, count in sorted(summary.drop_reasons.items(), key=lambda item: -item[1]):
        told = f"  dropped {count:,}: {reason.replace('_', ' ')}{_REMEDIES.get(reason, '')}"
        console.print(told, highlight=False, soft_wrap=True)
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
    )


def _totals(summary: RunSummary) -> str:
    count = {outcome: summary.outcomes.get(outcome, 0) for outcome in Outcome}
    return (
        f"{summary.prompts:,} prompts: {count[Outcome.REVISED]:,} revised "
        f"({percent(summary.revision_yield)} of those not compliant), "
        f"{count[Outcome.COMPLIANT]:,} compliant, {count[Outcome.DROPPED]:,} dropped, "
        f"{summary.failed:,} failed, {summary.escalated:,} escalated"
    )
