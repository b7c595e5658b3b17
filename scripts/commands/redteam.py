"""`solon redteam`: an attacker that looks for what makes a model break its principles."""

from typing import TYPE_CHECKING

import typer

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from engine.redteam.config import RedTeamConfig

__all__ = ["print_attacks", "redteam"]


@o.configured("engine.redteam.config:RedTeamConfig")
def redteam(
    config: "RedTeamConfig",
    plan: o.PlanOnly = False,
    update: o.Update = False,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Attack a model until it breaks a principle, and record every attempt.

    Exits 1 if attacks failed to run.
    """
    from engine.redteam.config import open_redteam_inputs, open_redteam_run
    from engine.runs.manifest import run_manifest
    from scripts.commands.call_plan import print_call_plan
    from scripts.commands.run_command import execute_run, run_mode, say_what_is_kept
    from scripts.commands.terminal import error_console

    mode = run_mode(update=update, overwrite=overwrite, retry_failed=retry_failed)
    if plan:
        given = open_redteam_inputs(config)
        print_call_plan(config.attack.most_calls(given.prompts.count), given.models)
        return
    console = error_console()
    run = open_redteam_run(config, mode)
    if run.updated:
        say_what_is_kept(run, console)

    def sum_up() -> None:
        print_attacks(run.directory.path, run_manifest(run.directory.path, "redteam"))

    raise typer.Exit(execute_run(run, console, sum_up))


def print_attacks(run: "Path", manifest: "Mapping[str, Any]") -> None:
    """Print how often attacks succeeded: in all, by principle, by turn and by tactic."""
    from engine.record_files import read_rows
    from engine.redteam.figures import attack_figures
    from engine.redteam.records import AttackRecord
    from engine.runs.directory import SUCCESSES
    from scripts.commands.terminal import figures_table, interval, output_console

    found = attack_figures(read_rows(run / "records.jsonl", AttackRecord))
    console = output_console()
    table = figures_table("attacks on", "broken", title=str(manifest["models"]["target"]))
    for name, share in found.by_principle.items():
        table.add_row(name, interval(share))
    for turn, share in found.by_turn.items():
        table.add_row(f"by turn {turn}" if turn else "by the seeds", interval(share))
    for name, share in found.by_tactic.items():
        table.add_row(f"{name}, of its requests", interval(share))
    table.add_row("all requests", interval(found.per_request))
    table.add_row("all prompts", interval(found.broken))
    console.print(table)
    typer.echo(f"{found.prompts:,} prompts, {found.requests:,} requests to the target")
    if found.undecided:
        typer.echo(f"{found.undecided:,} answers without a verdict")
    typer.echo(f"the successes are prompts for `solon revise`: {run / SUCCESSES}")
