"""`solon export`: a run's records as a dataset to train on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from training.export import ExportResult

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="Directory that a run was written to.")],
    format: Annotated[
        Literal["trl-sft", "trl-preference", "trl-prompt", "llm-swarm"],
        typer.Option("--format", "-f", help="Shape of the rows."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Directory to write; by default RUN/exports/FORMAT."),
    ] = None,
    test_share: Annotated[
        float, typer.Option(help="Share of the prompts to hold out in test.jsonl.")
    ] = 0.0,
    mix: Annotated[
        str | None,
        typer.Option(help="Other data, such as helpful answers: JSONL, CSV, Parquet or hf:NAME."),
    ] = None,
    mix_ratio: Annotated[float, typer.Option(help="Share of all rows that --mix makes.")] = 0.2,
    every_revision: Annotated[
        bool, typer.Option("--every-revision", help="A row for each accepted revision.")
    ] = False,
    compliant: Annotated[
        bool, typer.Option(help="trl-sft: also answers that were compliant as they stood.")
    ] = True,
    escalated: Annotated[
        bool, typer.Option("--escalated", help="Also records that wait for a person to look.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the dataset.")] = False,
) -> None:
    """Export a run as training data with a card, saying what was left out and why."""
    from training.export import ExportFormat, ExportOptions, export_run

    options = ExportOptions(every_revision, compliant, escalated, test_share, mix, mix_ratio)
    _tell(export_run(run, ExportFormat(format), out, options, overwrite=overwrite))


def _tell(result: "ExportResult") -> None:
    held_out = f", {result.test_rows:,} held out" if result.test_rows else ""
    typer.echo(f"{result.path}: {result.rows:,} rows to train on{held_out}")
    if result.mixed:
        typer.echo(f"  {result.mixed:,} rows mixed in")
    if result.mix_missing:
        typer.echo(f"  {result.mix_missing:,} more to mix in were wanted than there are")
    for reason, count in sorted(result.skipped.items(), key=lambda item: -item[1]):
        typer.echo(f"  {count:,} records left out: {reason.replace('_', ' ')}")
