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
    """Write a run's report, one self-contained HTML page, and print its path."""
    import webbrowser

    from engine.report import build_report

    path = build_report(run, sample=sample, seed=seed)
    typer.echo(path)
    if open_page:
        webbrowser.open(path.resolve().as_uri())
