"""`solon split`: prompts to train on, and prompts to hold out."""

from typing import Annotated

import typer

from scripts.commands import options as o

__all__ = ["split"]


def split(
    prompts: o.Prompts,
    held_out: Annotated[
        str,
        typer.Option(help="The share of the prompts to hold out (0.2), or a file of others."),
    ],
    out: o.Out,
    prompt_column: o.PromptColumn = None,
    id_column: o.IdColumn = None,
    tags_column: o.TagsColumn = None,
    limit: o.Limit = None,
    held_out_column: Annotated[
        str | None, typer.Option(help="Column of the prompt in the file of held-out prompts.")
    ] = None,
    held_out_limit: o.Limit = None,
) -> None:
    """Write train.jsonl and held_out.jsonl; a prompt in both files is only held out."""
    from engine.prompts.sources import PromptSource, open_prompts
    from training.data.split_prompts import split_prompts

    source = open_prompts(
        prompts,
        prompt_column=prompt_column,
        id_column=id_column,
        tags_column=tags_column,
        limit=limit,
    )
    aside: PromptSource | float
    try:
        aside = float(held_out)
    except ValueError:
        aside = open_prompts(held_out, prompt_column=held_out_column, limit=held_out_limit)
    counts = split_prompts(source, aside, out)
    typer.echo(f"{out}: {counts.train:,} prompts to train on, {counts.held_out:,} held out")
    if counts.overlapping:
        typer.echo(f"  {counts.overlapping:,} prompts were in both files and are only held out")
