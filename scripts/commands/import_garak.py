"""`solon import-garak`: a red-team report as rows for the page of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from constitution.problems import InputError, Problem

__all__ = ["import_garak"]


def import_garak(
    reports: Annotated[list[Path], typer.Argument(help="Files that garak wrote: *.report.jsonl.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Read garak's reports, and print how often each probe hit.

    `solon evaluate --import FILE` shows the rows that this writes on its page.
    """
    from engine.storage.atomic import write_json_atomic
    from training.evaluation.harness.garak import read_garak

    if out.is_dir() or (out.exists() and not overwrite):
        what = "is a directory" if out.is_dir() else "exists already"
        raise InputError(Problem(str(out), what, "name another file, or add --overwrite"))
    rows = [row for report in reports for row in read_garak(report)]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomic(out, rows)
    _print(rows)
    typer.echo(f"{out}: {len(rows):,} rows")


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from engine.report.wording import percent
    from scripts.commands.terminal import output_console
    from training.stats.intervals import share_estimate

    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False, header_style="bold")
    for name in ("probe", "detector", "model"):
        table.add_column(name, overflow="fold")
    for name in ("attempts", "hits", "share"):
        table.add_column(name, justify="right")
    for row in rows:
        attempts, hits = row["attempts"], row["hits"]
        share = share_estimate([1.0] * hits + [0.0] * (attempts - hits))
        told = percent(None)
        if share:
            low, high = percent(share.low), percent(share.high)
            told = f"{percent(share.value)} [{low}, {high}]"
        names = (row["probe"], row["detector"], row["model"])
        table.add_row(*names, f"{attempts:,}", f"{hits:,}", told)
    output_console().print(table)
