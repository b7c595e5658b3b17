"""What the commands that can be run in shards share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands.options import FILES

if TYPE_CHECKING:
    from engine.runs.shards import RunPlace

__all__ = ["Scratch", "ShardOption", "open_place"]

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Do only the I-th of N shards, 1/N to N/N, in OUT/shards/I; `solon gather` joins them.",
        metavar="I/N",
        rich_help_panel=FILES,
    ),
]
Scratch = Annotated[
    Path | None,
    typer.Option(
        "--scratch",
        help="With --shard: work on this local disk, and copy to OUT as it goes.",
        metavar="DIR",
        rich_help_panel=FILES,
    ),
]


@contextmanager
def open_place(place: "RunPlace", *, cache: bool = False) -> Iterator[Path]:
    """The directory that a run works in, until the block ends; copies that fail are reported."""
    from scripts.commands.terminal import error_console

    console = error_console()

    def say(told: str) -> None:
        console.print(told, soft_wrap=True)

    with place.open(say, cache=cache) as directory:
        yield directory
