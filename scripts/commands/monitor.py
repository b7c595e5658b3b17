"""`solon monitor`: what a model in use breaks, day by day, and whether it has become more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks

if TYPE_CHECKING:
    from training.monitor.monitor import MonitorConfig
    from training.monitor.watched import Watched

__all__ = ["monitor"]


@o.configured("training.monitor.monitor:MonitorConfig")
def monitor(
    config: "MonitorConfig",
    log: Annotated[
        Path, typer.Argument(help="A guard's directory, or a JSONL file of answers with a time.")
    ],
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Judge a sample of each day's answers, and say which rates have risen.

    Exits 1 if one has.
    """
    from engine.storage.atomic import write_json_atomic, write_page
    from training.monitor.monitor import watch
    from training.monitor.page import monitor_page

    watched = watch(log, config)
    out = Path(config.out)
    write_json_atomic(out / "monitor.json", watched.as_dict())
    write_page(out / "monitor.html", monitor_page(watched, f"{log.name} in use"))
    _print(watched)
    typer.echo(f"{out / 'monitor.html'}")
    raise typer.Exit(1 if any(one.rise.alarm is not None for one in watched.signals) else 0)


def _print(watched: "Watched") -> None:
    from scripts.commands.terminal import figures_table, interval, output_console

    table = figures_table("rate", "before", "since", "evidence", "alarm")
    ordered = sorted(watched.signals, key=lambda one: -one.rise.evidence)
    for one in ordered:
        alarm = str(one.alarmed_on or "–")
        rates = (interval(rate, lambda share: f"{share:.1%}") for rate in (one.before, one.now))
        table.add_row(one.name, *rates, f"{one.rise.evidence:.3g}", alarm)
    console = output_console()
    console.print(table)
    console.print(f"{watched.judged:,} answers of {len(watched.days)} days")
