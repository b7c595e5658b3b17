"""`solon constitution`: what its author does with a constitution."""

import typer

from scripts.commands.constitution_check import check
from scripts.commands.constitution_convert import export_to, import_from
from scripts.commands.constitution_diff import diff
from scripts.commands.constitution_new import new
from scripts.commands.constitution_show import show
from scripts.commands.constitution_test import run_tests
from scripts.commands.options import CommandLine

__all__ = ["app"]

app = CommandLine(help="Write, check, compare and convert constitutions.", no_args_is_help=True)
app.command()(check)
app.command()(diff)
app.command("test")(run_tests)
app.command()(new)
app.command()(show)
app.command("import")(import_from)
app.command("export")(export_to)


@app.command()
def schema() -> None:
    """Print the JSON Schema of constitution files, for editors."""
    from constitution.yaml_writer import json_schema_text

    typer.echo(json_schema_text(), nl=False)


@app.command("list")
def list_shipped() -> None:
    """List the shipped constitutions."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from constitution.loader import load_constitution, shipped_constitutions
    from scripts.commands.terminal import counted

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name in shipped_constitutions():
        loaded = load_constitution(name)
        count = counted(len(loaded.principles), "principle")
        table.add_row(name, escape(f"{loaded.description or ''} ({count})".strip()))
    Console().print(table)
