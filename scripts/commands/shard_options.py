"""What the commands that can be run in shards share: options, and where the run is then kept."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from constitution.problems import InputError, Problem

if TYPE_CHECKING:
    from engine.runs.opening import RunConfig
    from engine.runs.output import Mode
    from engine.runs.run import Run
    from engine.runs.shards import RunPlace

__all__ = [
    "ALONE",
    "Scratch",
    "ShardOption",
    "Sharding",
    "open_place",
    "opened_run",
    "sharded",
]

_PANEL = "Several machines"

ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Do only the I-th of N shards, 1/N to N/N, in OUT/shards/I; `solon gather` joins them.",
        metavar="I/N",
        rich_help_panel=_PANEL,
    ),
]
Scratch = Annotated[
    Path | None,
    typer.Option(
        "--scratch",
        help="With shards: work on this local disk, and copy to OUT as it goes.",
        metavar="DIR",
        rich_help_panel=_PANEL,
    ),
]
_Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        help="Do all shards on the workers of this Ray cluster, and gather them; `local` starts one.",
        metavar="ADDRESS",
        rich_help_panel=_PANEL,
    ),
]
_Shards = Annotated[
    int | None,
    typer.Option("--shards", min=1, help="With --ray: how many.", rich_help_panel=_PANEL),
]
_Gpus = Annotated[
    float,
    typer.Option("--gpus-per-worker", min=0, help="With --ray: 0 is none.", rich_help_panel=_PANEL),
]
_Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="With --ray: at a time; as many as there is room for if not given.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Sharding:
    """What those options say."""

    shard: ShardOption = None
    scratch: Scratch = None
    ray: _Ray = None
    shards: _Shards = None
    gpus_per_worker: _Gpus = 1.0
    workers: _Workers = None

    def place(self, out: str) -> "RunPlace":
        """Where a run of one process is kept. Raises InputError for options that exclude each other."""
        from engine.runs.shards import RunPlace

        if self.ray is not None:
            if self.shard is not None:
                raise InputError(Problem("--ray --shard", "exclude each other", "drop one of them"))
            if self.shards is None:
                raise InputError(Problem("--ray", "needs --shards", "a few for each worker"))
            return RunPlace(Path(out))
        if self.shards is not None or self.workers is not None:
            name = "--shards" if self.shards is not None else "--workers"
            raise InputError(Problem(name, "is for --ray", "write --shard I/N for one of them"))
        return RunPlace.parse(out, self.shard, self.scratch)


ALONE = Sharding()


def sharded(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, and its parameter `sharding` what they say."""

    @functools.wraps(function)
    def command(config: Any, **own: Any) -> None:
        said = {one.name: own.pop(one.name) for one in fields(Sharding)}
        function(config, sharding=Sharding(**said), **own)

    kept = [p for p in inspect.signature(function).parameters.values() if p.name != "sharding"]
    options = inspect.signature(Sharding).parameters.values()
    seen: Any = command
    seen.__signature__ = inspect.Signature([
        p.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for p in (*kept, *options)
    ])
    return command


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
def opened_run(config: "RunConfig", sharding: Sharding, mode: "Mode") -> "Iterator[Run[Any]]":
    """The run that a command was given, or its shard, until the block ends; one on Ray is done
    instead, and then the command exits."""
    from engine.runs.opening import open_inputs, open_run

    place = sharding.place(config.out)
    if sharding.ray is not None:
        from scripts.commands.ray_run import run_on_ray

        raise typer.Exit(run_on_ray(config, sharding, mode))
    inputs = open_inputs(config).at(place)
    with open_place(place) as directory:
        yield open_run(inputs, directory, mode)
