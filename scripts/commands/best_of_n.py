"""`solon best-of-n`: whether a reward is worth pursuing, before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands.permission_options import AllowKeys, AllowPythonChecks, AllowRemoteCode

if TYPE_CHECKING:
    from rich.console import Console

    from training.stats.best_of_n import OverOptimisation

__all__ = ["best_of_n"]


def best_of_n(
    config: Annotated[
        Path, typer.Option("--config", "-c", help="A YAML file; docs/settings.md has its keys.")
    ],
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable."),
    ] = None,
    allow_python_checks: AllowPythonChecks = False,
    allow_remote_code: AllowRemoteCode = False,
    allow_keys: AllowKeys = None,
) -> None:
    """Score many answers to each prompt by rewards and by the constitution: the over-optimisation curve.

    Exits 1 where pursuing the rewards costs, or brings nothing of, what they stand for.
    """
    from constitution.typed_yaml import load_config
    from scripts.commands.terminal import error_console, output_console
    from training.trainers.best_of_n import BestOfNConfig, run

    settings = load_config(BestOfNConfig, config, assignments=set or ())
    console = error_console()
    curve = run(settings, lambda line: console.print(line, soft_wrap=True))
    print_curve(curve, output_console())
    raise typer.Exit(1 if curve.flagged else 0)


def print_curve(curve: "OverOptimisation", console: "Console") -> None:
    """A row for each n."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("best of", "KL", curve.reward, curve.gold, "tokens"):
        table.add_column(name, justify="right")
    for point in curve.points:
        figures = (point.proxy, point.gold)
        cells = [f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in figures]
        table.add_row(str(point.n), f"{point.kl:.2f}", *cells, f"{point.tokens.value:.0f}")
    console.print(table)
    if curve.flagged:
        console.print(curve.told, style="yellow", soft_wrap=True)
