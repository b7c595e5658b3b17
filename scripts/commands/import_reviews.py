"""`solon import-reviews`: what people said in Label Studio or Argilla, held against the labels."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.review.reviews import ImportedReviews

__all__ = ["import_reviews"]


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
    """Bring reviewers' verdicts back, and tell how far they agree.

    With the judge, and with one another. `solon export --reviews` takes the reviews.jsonl that this
    writes.
    """
    from scripts.commands.review_table import print_agreement
    from training.review.reviews import import_reviews as read_and_write

    result = read_and_write(file, run, out or run / "reviews", overwrite=overwrite)
    print_agreement(result.agreement)
    _tell(result)


def _tell(result: "ImportedReviews") -> None:
    typer.echo(
        f"{result.path}: {len(result.reviews):,} items decided by "
        f"{result.agreement.reviewers:,} reviewers"
    )
    for reason, count in sorted(result.unused.items(), key=lambda item: -item[1]):
        typer.echo(f"  {count:,} verdicts not used: {reason}")
