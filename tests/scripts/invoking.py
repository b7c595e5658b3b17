"""One command of the command line, called in this process."""

from collections.abc import Callable

import typer
from typer.testing import CliRunner, Result

__all__ = ["invoke"]


def invoke(command: Callable[..., None], *arguments: object) -> Result:
    """Its exit code, output and exception."""
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
