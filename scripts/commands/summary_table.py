"""A run's numbers in the terminal: of a revision, or of labels."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.text import Text

from engine.judging.records import LabelOutcome
from engine.records import DropReason, Outcome
from engine.report import LabelSummary, PrincipleSummary, RunSummary
from engine.report.label_summary import CONFIDENT
from engine.report.summary import FailureKind
from engine.report.wording import decimal, percent, visible
from scripts.commands.terminal import figures_table

__all__ = ["print_labels", "print_summary"]

_REMEDIES: Mapping[str, str] = {
    DropReason.TRUNCATED_REVISION: " (raise --max-tokens, or add --keep-truncated)"
}
_NUMBERS = ("drawn", "kept", "revised", "yield", "dropped", "broken")
_UNSURE = "unsure"
"""A column of its own only where the judge left something undecided."""


def print_summary(summary: RunSummary, console: Console) -> None:
    """The run's numbers as a table, a line for each principle and one for all prompts."""
    unsure = any(principle.undecided for principle in summary.principles)
    columns = (*_NUMBERS, *((_UNSURE,) if unsure else ()))
    table = figures_table("principle", *columns, title=_headline(summary, ""))
    for principle in summary.principles:
        last = (decimal(principle.undecided),) if unsure else ()
        table.add_row(Text(visible(principle.id)), *_numbers(principle), *last)
    console.print(table)
    lines = [_totals(summary), *_reasons("dropped", summary.drop_reasons.items())]
    _print_lines([*lines, *_failures(summary.failure_kinds)], console)


def print_labels(summary: LabelSummary, console: Console) -> None:
    """A line for each principle, then the outcomes of prompts, answers and pairs."""
    columns = ("pairs", "labelled", "confident", "undecided")
    table = figures_table("principle", *columns, title=_headline(summary, "labels by "))
    for name, counts in summary.principles.items():
        numbers = (counts.drawn, counts.labelled, counts.confident, counts.undecided)
        table.add_row(Text(visible(name)), *map(decimal, numbers))
    console.print(table)
    _print_lines(_label_totals(summary), console)


def _print_lines(lines: Iterable[str], console: Console) -> None:
    for line in lines:
        console.print(Text(visible(line)), soft_wrap=True)


def _headline(summary: RunSummary | LabelSummary, by: str) -> Text:
    constitution = summary.manifest.get("constitution", {})
    name = f"{constitution.get('name', 'unnamed')} {constitution.get('version', '')}".strip()
    state = "complete" if summary.complete else "interrupted"
    return Text(visible(f"{summary.name}: {by}{name}, {state}"), "italic")


def _reasons(word: str, counts: Iterable[tuple[str, int]]) -> list[str]:
    ordered = sorted(counts, key=lambda item: -item[1])
    return [
        f"  {word} {count:,}: {reason.replace('_', ' ')}{_REMEDIES.get(reason, '')}"
        for reason, count in ordered
    ]


def _failures(kinds: Mapping[FailureKind, int]) -> list[str]:
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    return [
        f"  failed {count:,}: {kind.reason.replace('_', ' ')} ({kind.stage})"
        for kind, count in ordered
    ]


def _numbers(principle: PrincipleSummary) -> tuple[str | Text, ...]:
    return (
        decimal(principle.drawn),
        decimal(principle.skipped),
        decimal(principle.revised),
        percent(principle.revision_yield),
        decimal(principle.dropped),
        Text(f"{principle.violated:,}", "red" if principle.violated else ""),
    )


def _totals(summary: RunSummary) -> str:
    count = {outcome: summary.outcomes.get(outcome, 0) for outcome in Outcome}
    return (
        f"{summary.prompts:,} prompts: {count[Outcome.REVISED]:,} revised "
        f"({percent(summary.revision_yield)} of those not compliant), "
        f"{count[Outcome.COMPLIANT]:,} compliant, {count[Outcome.DROPPED]:,} dropped, "
        f"{summary.failed:,} failed, {summary.escalated:,} escalated"
    )


def _label_totals(summary: LabelSummary) -> list[str]:
    outcomes = summary.outcomes
    lines = [
        f"{summary.prompts:,} prompts: {outcomes[LabelOutcome.LABELLED]:,} with labels, "
        f"{outcomes[LabelOutcome.DROPPED]:,} without, {summary.failure_kinds.total():,} failed"
    ]
    lines += _reasons("without", summary.drop_reasons.items())
    lines += _failures(summary.failure_kinds)
    dropped = summary.answer_drops.total()
    lines.append(f"{summary.answers:,} answers sampled, {dropped:,} dropped")
    lines += _reasons("dropped", summary.answer_drops.items())
    share = summary.confident / summary.labelled if summary.labelled else None
    lines.append(
        f"{summary.pairs:,} pairs: {summary.labelled:,} labelled, {percent(share)} of them at "
        f"{CONFIDENT:.0%} or more"
    )
    lines += _reasons("dropped", summary.undecided.items())
    if summary.position_bias is not None:
        lines.append(f"mean position bias {summary.position_bias:+.2f} (0 is none, 1 always first)")
    return lines
