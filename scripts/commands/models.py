"""`solon models`: what a model can do before anything is spent on it."""

from typing import Annotated

import typer

from scripts.commands.options import CommandLine

__all__ = ["app"]

app = CommandLine(help="Ask models what they can do.", no_args_is_help=True)


@app.command()
def check(
    specs: Annotated[
        list[str],
        typer.Argument(
            help="Models, as every command takes them.", metavar="SPEC...", show_default=False
        ),
    ],
    judge: Annotated[
        bool, typer.Option("--judge/--no-judge", help="Ask for a verdict as well.")
    ] = True,
) -> None:
    """Ask each model once: does it answer, how does it want to be asked, can it judge?

    Exits 1 if one cannot.
    """
    import asyncio

    from constitution.problems import Stopped, all_problems
    from engine.generators.facts import ModelFacts
    from engine.generators.preflight import Task, facts_of
    from engine.generators.spec import open_generator
    from scripts.commands.models_table import print_facts
    from scripts.commands.terminal import error_console, output_console

    generators = all_problems(*(lambda spec=spec: open_generator(spec) for spec in specs))
    found: list[ModelFacts] = []
    failed = False
    console = error_console()
    for generator in generators:
        try:
            found.append(asyncio.run(facts_of(generator, Task(writes=True, judges=judge))))
        except Stopped as stopped:
            failed = True
            console.print(str(stopped), soft_wrap=True)
    if found:
        print_facts(output_console(), found)
    raise typer.Exit(1 if failed else 0)
