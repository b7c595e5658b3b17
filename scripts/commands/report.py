"""`solon report`: a run as a page."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Argument(help="Directory that a run was written to.")],
    sample: Annotated[int, typer.Option(min=0, help="Conversations to show.")] = 60,
    seed: Annotated[int, typer.Option(help="Which conversations are shown.")] = 0,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page.")] = False,
) -> None:
    """Write a run's report as one HTML page, and print its path.

    A label run has no page: its numbers are printed.
    """
    import webbrowser

    from engine.report import build_report
    from engine.report.run_files import read_manifest, run_kind

    if run_kind(read_manifest(run)) == "label":
        _print_labels(run)
        return
    path = build_report(run, sample=sample, seed=seed)
    typer.echo(path)
    if open_page:
        webbrowser.open(path.resolve().as_uri())


def _print_labels(run: Path) -> None:
    from rich.console import Console

    from engine.report import summarize_labels
    from scripts.commands.label_table import print_labels

    print_labels(summarize_labels(run), Console())
    typer.echo("A label run has no page; `solon export` makes its labels a dataset.")
