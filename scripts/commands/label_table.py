"""A label run's numbers in the terminal."""

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.judging.records import LabelOutcome
from engine.report import LabelSummary
from engine.report.label_summary import CONFIDENT
from engine.report.wording import decimal, percent, visible

__all__ = ["print_labels"]


def print_labels(summary: LabelSummary, console: Console) -> None:
    """A line for each principle, then what became of prompts, answers and pairs."""
    table = Table(
        title=escape(_headline(summary)),
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("principle", overflow="fold", min_width=24)
    for name in ("pairs", "labelled", "confident", "undecided"):
        table.add_column(name, justify="right")
    for name, counts in summary.principles.items():
        numbers = (counts.drawn, counts.labelled, counts.confident, counts.undecided)
        table.add_row(escape(visible(name)), *map(decimal, numbers))
    console.print(table)
    for line in _totals(summary):
        console.print(escape(visible(line)), highlight=False)


def _headline(summary: LabelSummary) -> str:
    constitution = summary.manifest.get("constitution") or {}
    name = f"{constitution.get('name', 'unnamed')} {constitution.get('version', '')}".strip()
    state = "complete" if summary.complete else "interrupted"
    return visible(f"{summary.name}: labels by {name}, {state}")


def _totals(summary: LabelSummary) -> list[str]:
    outcomes = summary.outcomes
    lines = [
        f"{summary.prompts:,} prompts: {outcomes[LabelOutcome.LABELLED]:,} with labels, "
        f"{outcomes[LabelOutcome.DROPPED]:,} without, {summary.failure_kinds.total():,} failed"
    ]
    lines += _reasons("without", summary.drop_reasons.items())
    lines += [
        f"  failed {count:,}: {kind.reason.replace('_', ' ')} ({kind.stage})"
        for kind, count in summary.failure_kinds.most_common()
    ]
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


def _reasons(word: str, counts: Iterable[tuple[str, int]]) -> list[str]:
    ordered = sorted(counts, key=lambda item: -item[1])
    return [f"  {word} {count:,}: {reason.replace('_', ' ')}" for reason, count in ordered]
