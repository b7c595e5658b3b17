"""`solon split`: prompts to train on, and prompts to hold out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands import options as o

if TYPE_CHECKING:
    from training.data.split import SplitConfig

__all__ = ["split"]


_NAMES = {
    "held_out.file": ("--held-out",),
    "held_out.prompt_column": ("--held-out-column",),
    "held_out.id_column": ("--held-out-id-column",),
    "held_out.tags_column": ("--held-out-tags-column",),
    "held_out.prompt_format": ("--held-out-format",),
    "held_out.limit": ("--held-out-limit",),
}


@o.configured("training.data.split:SplitConfig", _NAMES)
def split(
    config: "SplitConfig",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the two files.")] = False,
) -> None:
    """Write train.jsonl and held_out.jsonl; a prompt in both files is only held out."""
    from training.data.split import split_prompts

    aside = config.held_out if isinstance(config.held_out, float) else config.held_out.open()
    prompts, out = config.prompts.open(), Path(config.out)
    counts = split_prompts(prompts, aside, out, config.header(), overwrite=overwrite)
    typer.echo(f"{config.out}: {counts.train:,} prompts to train on, {counts.held_out:,} held out")
    if counts.overlapping:
        typer.echo(f"  {counts.overlapping:,} prompts were in both files and are only held out")
