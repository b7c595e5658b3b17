"""ReviewerAgreement of reviewers with labels and with one another, in the terminal."""

from collections.abc import Callable, Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from engine.report.wording import percent
from scripts.commands.terminal import output_console
from training.review.agreement import Compared, ReviewerAgreement
from training.stats.intervals import Estimate

__all__ = ["print_agreement"]

_SECTIONS = {"pairs": "pairs", "escalated": "escalated answers"}


def print_agreement(agreement: ReviewerAgreement) -> None:
    """A line for each queue, principle and two reviewers; in brackets 95 % intervals."""
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False, header_style="bold")
    table.add_column("reviewers against", overflow="fold", min_width=24)
    for name in ("items", "undecided", "agree", "Cohen's kappa"):
        table.add_column(name, justify="right")
    by_principle: Mapping[str, Mapping[str, Compared]] = {
        "pairs": agreement.principles,
        "escalated": agreement.escalated_principles,
    }
    for queue, compared in agreement.queues.items():
        _add(table, f"labels of {_SECTIONS[queue]}", compared)
        for principle, of_it in by_principle[queue].items():
            _add(table, f"  judge on {principle}", of_it)
    for raters in agreement.raters:
        _add(table, f"each other: {raters.left}, {raters.right}", raters.compared)
    output_console().print(table)


def _add(table: Table, name: str, compared: Compared) -> None:
    table.add_row(
        name,
        f"{compared.items:,}",
        f"{compared.undecided:,}",
        _told(compared.same, percent),
        _told(compared.kappa, lambda value: f"{value:.2f}"),
    )


def _told(estimate: Estimate | None, written: Callable[[float], str]) -> str:
    if estimate is None:
        return "–"
    low, high = written(estimate.low), written(estimate.high)
    return f"{written(estimate.value)} [{low}, {high}]"
