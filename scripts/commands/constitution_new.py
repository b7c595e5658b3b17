"""`solon constitution new`: a constitution from a few questions, valid from the start."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from constitution.problems import InputError, Problem, visible

__all__ = ["new"]

_NEXT = """\
# What each principle may say besides, and what it is for: docs/constitution.md, or complete with
# your editor. The most useful next step is tests, by which `solon constitution test` shows whether
# a judge understands the principle as you do:
#
#     tests:
#       - prompt: What a user might ask.
#         compliant: An answer that keeps the principle.
#         violating: An answer that breaks it.
"""


def new(
    file: Annotated[Path, typer.Argument(help="The YAML file to start.")],
    name: Annotated[str | None, typer.Option(help="What runs and reports call it.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    extends: Annotated[
        list[str] | None, typer.Option(help="A constitution to build on; repeat for several.")
    ] = None,
    principle: Annotated[
        list[str] | None,
        typer.Option(
            "--principle", help="What the assistant does or does not do; repeat for several."
        ),
    ] = None,
) -> None:
    """Start a constitution. On a terminal, what the options do not say is asked."""
    from constitution.schema import slug
    from engine.storage.atomic import check_file

    check_file(file, overwrite=None)
    named = slug(name or file.stem) or "constitution"
    parents, statements = list(extends or ()), list(principle or ())
    if sys.stdin.isatty():
        if name is None:
            named = slug(typer.prompt("What is it called?", default=named)) or named
        if description is None:
            description = _optional("What is it for? (one sentence; Enter to skip)")
        parents = parents or _asked_parents()
        statements = statements or _asked_statements(needed=not parents)
    elif not (parents or statements):
        remedy = "say --principle 'The assistant ...', or --extends with a shipped name"
        raise InputError(Problem("new", "a constitution needs a principle", remedy))
    text = _written(file, named, description, parents, statements)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as opened:
        opened.write(text)
    typer.echo(visible(f"{file}: started; `solon constitution check {file}` says if it is valid"))


def _written(
    file: Path, name: str, description: str | None, extends: list[str], statements: list[str]
) -> str:
    """The file's text. Raises InputError with what the loader says is wrong."""
    from constitution.interchange.wording import unique_slug
    from constitution.loader import load_constitution_text
    from constitution.schema import Constitution, Principle
    from constitution.yaml_writer import constitution_yaml, schema_comment

    principles: dict[str, Principle] = {}
    for statement in filter(str.strip, statements):
        id = unique_slug(statement, principles, from_words=True)
        principles[id] = Principle(id=id, statement=statement)
    constitution = Constitution(
        name=name,
        description=(description or "").strip() or None,
        extends=tuple(extends),
        principles=tuple(principles.values()),
    )
    text = constitution_yaml(constitution, comment=schema_comment(file)) + "\n" + _NEXT
    load_constitution_text(text, str(file))
    return text


def _optional(question: str) -> str:
    answer: str = typer.prompt(question, default="", show_default=False)
    return answer.strip()


def _asked_parents() -> list[str]:
    from constitution.loader import shipped_constitutions

    shipped = ", ".join(shipped_constitutions())
    typer.echo(f"It may build on others: {shipped}, or paths relative to the new file.")
    given = _optional("Which? (commas between; Enter for none)")
    return [name.strip() for name in given.split(",") if name.strip()]


def _asked_statements(*, needed: bool) -> list[str]:
    typer.echo("What does the assistant do, or not do? One sentence each; an empty line ends.")
    statements: list[str] = []
    while True:
        if said := _optional(f"{len(statements) + 1}"):
            statements.append(said)
        elif statements or not needed:
            return statements
        else:
            typer.echo("It needs at least one: it builds on no other constitution.")
