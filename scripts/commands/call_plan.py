"""What a run would ask at most, before anything is spent, where that is known without walking it."""

from collections.abc import Mapping

from rich.table import Table

from engine.report.wording import duration
from engine.runs.throughput import expected_seconds
from engine.settings import RoleModels
from scripts.commands.terminal import output_console

__all__ = ["print_call_plan"]


def print_call_plan(calls: Mapping[str, int], models: RoleModels) -> None:
    """The most calls of each role that writes or judges, the most tokens, and the time they take at the
    pace of the first model's last run on this machine."""
    table = Table(
        "role", "model", "calls", title="What this run would ask at most", title_justify="left"
    )
    for name, count in calls.items():
        table.add_row(name, models[name].generator.spec, f"{count:,}")
    console = output_console()
    console.print(table)
    written = {name: count for name, count in calls.items() if name != "judge"}
    tokens = sum(count * models[name].sampling.max_tokens for name, count in written.items())
    console.print(f"tokens to write at most {tokens:,}; what is in the cache is not asked again")
    first = next(iter(models.values())).generator
    seconds = expected_seconds(first.fingerprint, tokens)
    if seconds is None:
        console.print("time            unknown: this model has not run on this machine yet")
    else:
        console.print(f"time            at most {duration(seconds)}, at the pace of its last run")
