"""`solon constitution`: what its author does with a constitution."""

from typing import Annotated

import typer

from constitution.problems import InputError, Problem
from scripts.commands.constitution_check import check
from scripts.commands.constitution_convert import export_to, import_from
from scripts.commands.constitution_diff import diff
from scripts.commands.constitution_new import new
from scripts.commands.constitution_test import run_tests
from scripts.commands.options import CommandLine

__all__ = ["app"]

app = CommandLine(help="Write, check, compare and convert constitutions.", no_args_is_help=True)
app.command()(check)
app.command()(diff)
app.command("test")(run_tests)
app.command()(new)
app.command("import")(import_from)
app.command("export")(export_to)

Source = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped constitution.")]


@app.command()
def show(
    file: Source,
    principle: Annotated[str | None, typer.Option(help="Only the principle of that id.")] = None,
    stakeholder: Annotated[
        str | None, typer.Option(help="Only what is drawn under that profile, with its weights.")
    ] = None,
    rendered: Annotated[
        bool, typer.Option("--rendered", help="Exactly what the models will be asked.")
    ] = False,
) -> None:
    """Print a constitution with its parents merged in, or what it makes the models read."""
    from constitution.loader import load_constitution
    from scripts.commands.constitution_show import print_constitution, under_profile

    loaded = load_constitution(file)
    if stakeholder is not None:
        _check_named("--stakeholder", stakeholder, list(loaded.stakeholders))
        loaded = under_profile(loaded, stakeholder)
    if principle is not None:
        _check_named("--principle", principle, [p.id for p in loaded.principles])
    chosen = [p for p in loaded.principles if principle in (None, p.id)]
    if rendered:
        from scripts.commands.constitution_rendered import rendered_requests

        typer.echo(rendered_requests(loaded, chosen))
    else:
        print_constitution(loaded, chosen)


@app.command()
def schema() -> None:
    """Print the JSON Schema of constitution files, for editors."""
    from constitution.json_schema import json_schema_text

    typer.echo(json_schema_text(), nl=False)


@app.command("list")
def list_shipped() -> None:
    """List the shipped constitutions."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from constitution.loader import load_constitution, shipped_constitutions

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name in shipped_constitutions():
        loaded = load_constitution(name)
        count = _counted(len(loaded.principles), "principle")
        table.add_row(name, escape(f"{loaded.description or ''} ({count})".strip()))
    Console().print(table)


def _check_named(option: str, name: str, known: list[str]) -> None:
    from constitution.validation import nearest

    if name not in known:
        remedy = nearest(name, known) or f"there is {', '.join(known) or 'none'}"
        raise InputError(Problem(option, f"no {name!r} to show", remedy))


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
