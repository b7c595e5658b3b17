"""`solon import-garak`: a red-team report as rows for the page of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["import_garak", "show_rows"]


def import_garak(
    reports: Annotated[list[Path], typer.Argument(help="Files that garak wrote: *.report.jsonl.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Read garak's reports, and print how often each probe hit.

    `solon evaluate --import FILE` shows the rows that this writes on its page.
    """
    from engine.storage.atomic import check_file
    from training.evaluation.harness.garak import read_garak

    check_file(out, overwrite, *reports)
    show_rows([row for report in reports for row in read_garak(report)], out)


def show_rows(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write the rows, and print them as a table."""
    from engine.storage.atomic import write_json_atomic

    out.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomic(out, rows)
    _print(rows)
    typer.echo(f"{out}: {len(rows):,} rows")


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    from engine.report.wording import percent
    from engine.shares import share_of
    from scripts.commands.terminal import figures_table, interval, output_console

    table = figures_table("probe of model, detector", "attempts", "hits", "share")
    for row in rows:
        attempts, hits = row["attempts"], row["hits"]
        share = share_of(hits, attempts)
        name = f"{row['probe']} of {row['model'] or '?'}, {row['detector']}"
        table.add_row(name, f"{attempts:,}", f"{hits:,}", interval(share, percent))
    output_console().print(table)
