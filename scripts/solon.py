"""The `solon` command. Commands import what they need when they run, so that each starts fast."""

import os
import sys
import threading
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from constitution.problems import EXIT_INTERRUPTED, InputError, Stopped
from scripts.commands.answer import answer
from scripts.commands.best_of_n import best_of_n
from scripts.commands.constitution import app as constitution_app
from scripts.commands.evaluate import evaluate
from scripts.commands.export import export
from scripts.commands.garak import garak
from scripts.commands.gather import gather
from scripts.commands.guard import app as guard_app
from scripts.commands.import_garak import import_garak
from scripts.commands.import_reviews import import_reviews
from scripts.commands.judge import app as judge_app
from scripts.commands.label import label
from scripts.commands.models import app as models_app
from scripts.commands.monitor import monitor
from scripts.commands.options import CommandLine
from scripts.commands.prompts import prompts
from scripts.commands.redteam import redteam
from scripts.commands.report import report
from scripts.commands.revise import revise
from scripts.commands.run_recipe import run_recipe
from scripts.commands.serve import serve
from scripts.commands.split import split
from scripts.commands.train import app as train_app
from scripts.commands.try_one import try_one

__all__ = ["app", "main"]

app = CommandLine(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"solon {version('solon')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Hold a model to a written constitution: critique, revise, train, evaluate."""


_RULES, _DATA, _MODELS = "The constitution", "Data", "Training and evaluation"
_USE = "In use"
app.command("run", rich_help_panel="Everything")(run_recipe)
app.add_typer(constitution_app, name="constitution", rich_help_panel=_RULES)
app.command("try", rich_help_panel=_RULES)(try_one)
app.command(rich_help_panel=_DATA)(prompts)
app.command(rich_help_panel=_DATA)(revise)
app.command(rich_help_panel=_DATA)(label)
app.command(rich_help_panel=_DATA)(answer)
app.command(rich_help_panel=_DATA)(gather)
app.command(rich_help_panel=_DATA)(split)
app.command(rich_help_panel=_DATA)(report)
app.command(rich_help_panel=_DATA)(export)
app.command("import-reviews", rich_help_panel=_DATA)(import_reviews)
app.add_typer(train_app, name="train", rich_help_panel=_MODELS)
app.command("best-of-n", rich_help_panel=_MODELS)(best_of_n)
app.command(rich_help_panel=_MODELS)(evaluate)
app.command(rich_help_panel=_MODELS)(redteam)
app.add_typer(judge_app, name="judge", rich_help_panel=_MODELS)
app.add_typer(models_app, name="models", rich_help_panel=_MODELS)
app.command(rich_help_panel=_MODELS)(garak)
app.command("import-garak", rich_help_panel=_MODELS)(import_garak)
app.command(rich_help_panel=_USE)(serve)
app.command(rich_help_panel=_USE)(monitor)
app.add_typer(guard_app, name="guard", rich_help_panel=_USE)


_LONGEST_REASON = 300


def main() -> NoReturn:
    """Run a command. Wrong input, and files and disks that fail, end in one line per problem and
    exit code 2, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # in Latin-1, or C, an emoji is written as its escape
            stream.reconfigure(errors="backslashreplace")
    try:
        app(standalone_mode=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except InputError as error:
        code = _say(error, 2)
    except Stopped as error:
        code = _say(
            f"{error}\nWhat was finished is on disk; the same command resumes.", error.exit_code
        )
    except _system_errors() as error:
        code = _say(_told_by_the_system(error), 2)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    _leave(code)


def _say(message: object, code: int) -> int:
    """Print to standard error what may quote a file, a model or a path."""
    from constitution.problems import visible

    print(visible(str(message)), file=sys.stderr)
    return code


def _system_errors() -> tuple[type[Exception], ...]:
    """Asked for only once something went wrong: the import takes milliseconds."""
    import sqlite3

    return OSError, sqlite3.Error


def _told_by_the_system(error: Exception) -> str:
    from constitution.problems import brief

    if not isinstance(error, OSError) or error.strerror is None:
        return f"solon: {brief(error, _LONGEST_REASON)}"
    where = f"{error.filename}"[:_LONGEST_REASON] if error.filename else "solon"
    return f"{where}: cannot be read or written ({error.strerror})"


def _leave(code: int) -> NoReturn:
    """Exit; at once if an engine was loaded, since its processes and threads must not hold an
    ended command."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:  # nobody reads on: what is still buffered goes nowhere, quietly
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    if "torch" not in sys.modules and threading.active_count() == 1:
        sys.exit(code)
    from engine.generators.background import kill_descendants

    kill_descendants()
    os._exit(code)


if __name__ == "__main__":
    main()
