"""`solon constitution test`: does a judge understand each principle?"""

from pathlib import Path
from typing import Annotated

import typer

from scripts.commands import options as o

__all__ = ["run_tests"]


def run_tests(
    file: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped one.")],
    judge: Annotated[str, typer.Option(metavar="SPEC", help="The model that judges.")] = "embedded",
    principle: Annotated[
        list[str] | None, typer.Option(help="Only that principle; several times for several.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write results as JUnit XML, too.")
    ] = None,
    chat_template: o.ChatTemplate = None,
) -> None:
    """Put each principle's tests to a judge; exit 1 unless it gets all of them right."""
    from scripts.commands.constitution_test_run import test_principles

    test_principles(file, judge, principle or [], junit, chat_template)
