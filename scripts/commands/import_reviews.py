"""`solon import-reviews`: what people said in Label Studio or Argilla, compared with the labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from training.review.agreement import Compared, ReviewerAgreement
    from training.review.reviews import ImportedReviews

__all__ = ["import_reviews"]

_SECTIONS = {"pairs": "pairs", "escalated": "escalated answers"}


def import_reviews(
    file: Annotated[
        Path,
        typer.Argument(help="Label Studio's JSON or JSON-MIN export, or Argilla's dump."),
    ],
    run: Annotated[Path, typer.Option("--run", "-r", help="The run that was reviewed.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory to write; by default RUN/reviews."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the reviews.")] = False,
) -> None:
    """Bring reviewers' verdicts back, and report agreement.

    With the judge, and with one another. `solon export --reviews` takes the reviews.jsonl that this
    writes.
    """
    from training.review.reviews import import_reviews as read_and_write

    result = read_and_write(file, run, out or run / "reviews", overwrite=overwrite)
    _print_agreement(result.agreement)
    _tell(result)


def _tell(result: "ImportedReviews") -> None:
    typer.echo(
        f"{result.path}: {len(result.reviews):,} items decided by "
        f"{result.agreement.reviewers:,} reviewers"
    )
    for reason, count in sorted(result.unused.items(), key=lambda item: -item[1]):
        typer.echo(f"  {count:,} verdicts not used: {reason}")


def _print_agreement(agreement: "ReviewerAgreement") -> None:
    """A line for each queue, principle and two reviewers; in brackets 95 % intervals."""
    from scripts.commands.terminal import figures_table, output_console

    numbers = ("items", "undecided", "agree", "Cohen's kappa")
    table = figures_table("reviewers against", *numbers)
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


def _add(table: "Table", name: str, compared: "Compared") -> None:
    from engine.report.wording import percent
    from scripts.commands.terminal import interval

    table.add_row(
        name,
        f"{compared.items:,}",
        f"{compared.undecided:,}",
        interval(compared.same, percent),
        interval(compared.kappa, lambda value: f"{value:.2f}"),
    )
