"""`solon export`: a run's records as a file to train on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from training.datasets import ExportResult

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="Directory that a run was written to.")],
    format: Annotated[
        Literal["trl-sft", "trl-preference", "llm-swarm"],
        typer.Option("--format", "-f", help="Shape of the rows."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default RUN/FORMAT.jsonl.")
    ] = None,
    every_revision: Annotated[
        bool, typer.Option("--every-revision", help="A row for each accepted revision.")
    ] = False,
    compliant: Annotated[
        bool, typer.Option(help="trl-sft: also answers that were compliant as they stood.")
    ] = True,
    escalated: Annotated[
        bool, typer.Option("--escalated", help="Also records that wait for a person to look.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Export a run as training data, saying what was left out and why."""
    from training.datasets import ExportFormat, export_run

    result = export_run(
        run,
        ExportFormat(format),
        out or run / f"{format}.jsonl",
        every_revision=every_revision,
        include_compliant=compliant,
        include_escalated=escalated,
        overwrite=overwrite,
    )
    _tell(result)


def _tell(result: "ExportResult") -> None:
    typer.echo(f"{result.path}: {result.rows:,} rows")
    for reason, count in sorted(result.skipped.items(), key=lambda item: -item[1]):
        typer.echo(f"  {count:,} records left out: {reason.replace('_', ' ')}")
