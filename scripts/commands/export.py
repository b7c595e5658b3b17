"""`solon export`: a run's records as a file to train on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.datasets import ExportFormat, ExportResult, export_run

__all__ = ["export", "print_export"]


def export(
    run: Annotated[Path, typer.Argument(help="Directory that a run was written to.")],
    format: Annotated[ExportFormat, typer.Option("--format", "-f", help="Shape of the rows.")],
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
    result = export_run(
        run,
        format,
        out or run / f"{format}.jsonl",
        every_revision=every_revision,
        include_compliant=compliant,
        include_escalated=escalated,
        overwrite=overwrite,
    )
    print_export(result, Console())


def print_export(result: ExportResult, console: Console) -> None:
    """Say how many rows were written where, and what gave none."""
    console.print(f"{result.path}: {result.rows:,} rows", soft_wrap=True, highlight=False)
    for reason, count in sorted(result.skipped.items(), key=lambda item: -item[1]):
        words = reason.replace("_", " ")
        console.print(f"  {count:,} records left out: {words}", highlight=False, style="dim")
