"""What the commands that can be run in shards share: an option, and where the run is then kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from engine.runs.config import RunConfig
    from engine.runs.output import Mode
    from engine.runs.run import Run
    from engine.runs.shards import RunPlace
    from training.evaluation.config import EvaluateConfig

__all__ = ["ShardOption", "open_place", "opened_run", "place_of"]

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Do only the I-th of N shards, 1/N to N/N, in OUT/shards/I; `solon gather` joins them.",
        metavar="I/N",
        rich_help_panel="Several machines",
    ),
]


def place_of(config: "RunConfig | EvaluateConfig", shard: str | None) -> "RunPlace":
    """Where a run is kept. Raises InputError for options that exclude each other."""
    from engine.runs.shards import RunPlace

    workers = config.workers
    workers.check(shard)
    if workers.ray is not None:
        return RunPlace(Path(config.out))
    return RunPlace.parse(config.out, shard, workers.scratch)


@contextmanager
def open_place(place: "RunPlace", *, cache: bool = False) -> Iterator[Path]:
    """The directory that a run works in, until the block ends; copies that fail are reported."""
    from scripts.commands.terminal import error_console

    console = error_console()

    def say(told: str) -> None:
        console.print(told, soft_wrap=True)

    with place.open(say, cache=cache) as directory:
        yield directory


@contextmanager
def opened_run(config: "RunConfig", shard: str | None, mode: "Mode") -> "Iterator[Run[Any]]":
    """The run that a command was given, or its shard, until the block ends; one on Ray is done
    instead, and then the command exits."""
    from engine.runs.opening import open_inputs, open_run

    place = place_of(config, shard)
    if config.workers.ray is not None:
        from scripts.commands.ray_run import run_on_ray

        raise typer.Exit(run_on_ray(config, mode))
    inputs = open_inputs(config, place.of).at(place)
    with open_place(place) as directory:
        yield open_run(inputs, directory, mode)
