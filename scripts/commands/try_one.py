"""`solon try`: one conversation live, principle by principle."""

from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands import options as o

if TYPE_CHECKING:
    from engine.runs.config import LoopConfig

__all__ = ["try_one"]


def _config() -> "type[LoopConfig]":
    from engine.runs.config import LoopConfig

    return LoopConfig


@o.configured(_config, {"roles.policy": ("--model", "-m")})
def try_one(
    config: "LoopConfig",
    constitution: Annotated[str, typer.Argument(help="A YAML file, or a shipped name.")],
    prompt: Annotated[str, typer.Argument(help="What the user says.")],
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Again after every save, showing only what changed."),
    ] = False,
) -> None:
    """Show one prompt answered, criticised and revised, with the changed words marked."""
    from scripts.commands.try_run import try_prompt

    try_prompt(constitution, prompt, config, watch=watch)
