"""`solon garak`: the red-teaming tool garak against a server, and what it found."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.commands.import_garak import show_rows

__all__ = ["garak"]


def garak(
    url: Annotated[str, typer.Argument(help="The server, as `solon serve` prints its address.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="JSON file to write; garak's reports stand beside it."),
    ],
    probes: Annotated[
        str | None,
        typer.Option(
            help="garak's probes, with commas: dan,promptinject. All active ones if not given."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The first that the server lists if not given."),
    ] = None,
    generations: Annotated[int, typer.Option(min=1, help="Answers asked for each prompt.")] = 5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Start garak against a server, and print how often each probe hit.

    garak has to be installed: `uv tool install garak`. A key of the server goes into OPENAICOMPATIBLE_API_KEY.
    `solon evaluate --import FILE` shows the rows that this writes on its page.
    """
    import os

    from engine.storage.atomic import check_file
    from training.evaluation.harness.garak_scan import KEY, model_at, scan

    check_file(out, overwrite)
    name = model or model_at(url, os.environ.get(KEY))
    rows = scan(url, name, out.with_suffix(""), probes=probes, generations=generations)
    show_rows(rows, out)
