"""`solon constitution diff`: what an edit changed, and what it will cost on a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from constitution.problems import InputError, Problem, all_problems

if TYPE_CHECKING:
    from constitution.schema import Constitution

__all__ = ["diff"]

_Column = Annotated[str | None, typer.Option(help="Where --prompts has it.")]
_GIT_ARGUMENTS = (7, 9)
"""What git gives an external diff: path, old file, hash and mode, new file, hash and mode, and for
a renamed file its new path and what became of it."""


def diff(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="OLD NEW", help="Files, shipped names, or REV:PATH as git has them."
        ),
    ],
    run: Annotated[
        Path | None, typer.Option(help="Also what the edit will generate on that run.")
    ] = None,
    prompts: Annotated[
        str | None, typer.Option("--prompts", "-p", help="The run's prompts, if they moved.")
    ] = None,
    prompt_column: _Column = None,
    id_column: _Column = None,
    tags_column: _Column = None,
    format: Annotated[
        Literal["text", "json"], typer.Option("--format", "-f", help="For people or programs.")
    ] = "text",
) -> None:
    """Tell by principle what differs; exit 0 if nothing does, 1 if something does.

    git takes it for `git diff` too: see the documentation of the format.
    """
    from scripts.commands import constitution_difference as difference

    columns = (prompt_column, id_column, tags_column)
    if run is None and any((prompts, *columns)):
        what, remedy = "prompts are named, and no run", "add --run, or leave them out"
        raise InputError(Problem("--prompts", what, remedy))
    if len(files) in _GIT_ARGUMENTS and run is None:
        difference.show_for_git(files[0], files[1], files[4])
        return
    if len(files) != 2:
        remedy = "write `solon constitution diff OLD NEW`"
        raise InputError(Problem("diff", f"compares two files and was given {len(files)}", remedy))
    sides = _both(files)
    cost = None
    if run is not None:
        from engine.prompts.rows import Columns

        named = Columns(*columns) if any(columns) else None
        cost = difference.cost_on(run, *sides, prompts=prompts, columns=named)
    changes = difference.show(*sides, cost, as_json=format == "json")
    raise typer.Exit(1 if changes else 0)


def _both(files: list[str]) -> "tuple[Constitution, Constitution]":
    """Problems of both are told together."""
    from constitution.git_revision import load_revision

    old, new = all_problems(lambda: load_revision(files[0]), lambda: load_revision(files[1]))
    return old, new
