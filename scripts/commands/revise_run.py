"""What `solon revise` does with its options: read and check all of them, plan, run, sum up."""

from contextlib import nullcontext
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from constitution.loader import load_constitution
from constitution.problems import all_problems
from constitution.schema import Constitution
from engine.prompts.sources import PromptSource
from engine.report import summarize
from engine.report.wording import duration
from engine.runs.config import ReviseConfig
from engine.runs.output import Mode
from engine.runs.plan import Plan, plan_run
from engine.runs.run import RevisionRun
from engine.runs.throughput import expected_seconds
from engine.settings import Roles, for_stakeholder
from engine.storage.completion_cache import CompletionCache
from scripts.commands.run_command import execute_run
from scripts.commands.summary_table import print_summary
from scripts.commands.terminal import error_console, output_console

__all__ = ["plan_only", "revise_into"]


def revise_into(config: ReviseConfig, mode: Mode) -> None:
    """Check every input and run. Exits 1 if conversations failed, 130 if interrupted."""
    constitution, prompts, models = _inputs(config)
    run = RevisionRun(
        Path(config.out), prompts, constitution, models, config.revise,
        mode=mode, window=config.window,
    )  # fmt: skip
    raise typer.Exit(_execute(run, error_console()))


def plan_only(config: ReviseConfig) -> None:
    """Check every input, and print what a run would generate that its cache does not hold."""
    constitution, prompts, models = _inputs(config)
    path = Path(config.out) / "completions.sqlite"
    with CompletionCache(path) if path.exists() else nullcontext() as cache:
        plan = plan_run(prompts, prompts.count, constitution, models, config.revise, cache=cache)
    _print_plan(plan, models)


def _inputs(config: ReviseConfig) -> tuple[Constitution, PromptSource, Roles]:
    constitution, prompts, models = all_problems(
        lambda: for_stakeholder(load_constitution(config.constitution), config.revise.stakeholder),
        config.prompts.open,
        lambda: Roles(**config.roles.open(config.sampling)),
    )
    return constitution, prompts, models


def _execute(run: RevisionRun, console: Console) -> int:
    if run.updated:
        _say_what_is_redone(run, console)

    def sum_up() -> int:
        print_summary(summarize(run.directory.path), Console())
        return 1 if run.progress().totals.get("failed") else 0

    return execute_run(run, console, sum_up)


def _say_what_is_redone(run: RevisionRun, console: Console) -> None:
    expected = run.plan()
    calls = sum(expected.calls.values())
    console.print(
        f"the constitution was edited: {expected.conversations_to_generate:,} of "
        f"{expected.conversations:,} conversations are generated again ({calls:,} calls, "
        f"{expected.cached_calls:,} re-used); the previous records are in {run.aside}"
    )


def _print_plan(plan: Plan, roles: Roles) -> None:
    table = Table(
        "role", "model", "calls", title="What this run would generate", title_justify="left"
    )
    for name, role in roles:
        table.add_row(name, role.generator.spec, f"{plan.calls[name]:,}")
    console = output_console()
    console.print(table)
    console.print(f"conversations   {plan.conversations:,}")
    console.print(
        f"calls           {sum(plan.calls.values()):,} (and {plan.cached_calls:,} re-used)"
    )
    console.print(f"prompt tokens   about {plan.prompt_tokens:,} before the KV cache")
    console.print(f"tokens to write about {plan.completion_tokens:,}")
    seconds = expected_seconds(roles.policy.generator.fingerprint, plan.completion_tokens)
    if seconds is None:
        console.print("time            unknown: this model has not run on this machine yet")
    else:
        console.print(
            f"time            about {duration(seconds)}, at the pace of its last run here"
        )
    if plan.sampled < plan.conversations:
        console.print(f"(estimated from {plan.sampled:,} of the conversations)")
