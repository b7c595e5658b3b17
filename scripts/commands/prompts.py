"""`solon prompts`: prompts written from a constitution, to revise, to attack or to evaluate with."""

from typing import TYPE_CHECKING

import typer

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks

if TYPE_CHECKING:
    from engine.writing.config import PromptsConfig
    from engine.writing.run import PromptsRun

__all__ = ["prompts"]


@o.configured("engine.writing.config:PromptsConfig", {"roles.model": ("--model", "-m")})
def prompts(
    config: "PromptsConfig",
    plan: o.PlanOnly = False,
    update: o.Update = False,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Write prompts that tempt an assistant to break each principle, and look-alikes to help with.

    Exits 1 if briefs failed.
    """
    from engine.writing.briefs import most_calls
    from engine.writing.config import open_prompts_inputs, open_prompts_run
    from scripts.commands.call_plan import print_call_plan
    from scripts.commands.run_command import execute_run, run_mode, say_what_is_kept
    from scripts.commands.terminal import error_console

    mode = run_mode(update=update, overwrite=overwrite, retry_failed=retry_failed)
    if plan:
        constitution, models = open_prompts_inputs(config)
        print_call_plan(most_calls(constitution, config.prompts), models)
        return
    console = error_console()
    run = open_prompts_run(config, mode)
    if run.updated:
        say_what_is_kept(run, console)

    def sum_up() -> None:
        _print_prompts(run)

    raise typer.Exit(execute_run(run, console, sum_up))


def _print_prompts(run: "PromptsRun") -> None:
    """How many prompts there are, by principle, how they spread and what was dropped."""
    from collections import Counter

    from engine.record_files import read_rows
    from engine.report.wording import in_words
    from engine.runs.manifest import run_manifest
    from engine.writing.records import WrittenPrompt

    path = run.directory.path
    spread = run_manifest(path, "prompts").get("spread", {})
    typer.echo(f"{run.file}: {spread.get('prompts', 0):,} prompts")
    for principle, count in spread.get("by_principle", {}).items():
        typer.echo(f"  {count:,} of {principle}")
    grouped = spread.get("clusters")
    if grouped:
        near = f"near duplicates {grouped['near_duplicates']:.1%}"
        typer.echo(f"  clusters {grouped['count']:,}, effectively {grouped['effective']}; {near}")
    typer.echo(
        f"  distinct words {spread.get('distinct_1')}, word pairs {spread.get('distinct_2')}"
    )
    typer.echo(
        f"  left out: {spread.get('alike', 0):,} nearly alike, {spread.get('beyond', 0):,} to spare"
    )
    drops = Counter(r.drop_reason for r in read_rows(path / "records.jsonl", WrittenPrompt))
    for reason, count in drops.most_common():
        if reason:
            typer.echo(f"  {count:,} dropped: {in_words(reason)}")
