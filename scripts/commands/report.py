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

    Runs of `solon label`, `answer` and `redteam` have no page: their numbers are printed.
    """
    import webbrowser

    from engine.report import build_report
    from engine.runs.manifest import run_manifest
    from scripts.commands.answer import print_answers
    from scripts.commands.redteam import print_attacks

    manifest = run_manifest(run, "revise", "label", "answer", "redteam")
    if manifest["kind"] == "label":
        _print_labels(run)
        return
    if manifest["kind"] == "answer":
        print_answers(run, manifest)
        return
    if manifest["kind"] == "redteam":
        print_attacks(run, manifest)
        return
    path = build_report(run, sample=sample, seed=seed)
    typer.echo(path)
    if open_page:
        webbrowser.open(path.resolve().as_uri())


def _print_labels(run: Path) -> None:
    from rich.console import Console

    from engine.report import summarize_labels
    from scripts.commands.run_command import print_labels

    print_labels(summarize_labels(run), Console())
    typer.echo("A label run has no page; `solon export` makes its labels a dataset.")
