"""`solon revise`: prompts through the loop into a run directory; `--plan` says what it would cost."""

from typing import TYPE_CHECKING, Any

import typer

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks
from scripts.commands.resources import OnGpu, Price, refuse_without_plan
from scripts.commands.shard_options import ShardOption, opened_run, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from engine.runs.config import ReviseConfig
    from engine.runs.plan import Plan
    from engine.runs.run import Run
    from engine.settings import LoopSettings, Roles

__all__ = ["revise"]


@o.configured("engine.runs.config:ReviseConfig", {"roles.policy": ("--model", "-m")})
def revise(
    config: "ReviseConfig",
    plan: o.PlanOnly = False,
    gpu: OnGpu = None,
    price: Price = None,
    update: o.Update = False,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    shard: ShardOption = None,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Answer prompts, critique and revise the answers, and record every step.

    Exits 1 if conversations failed; with --plan 2 where the models do not fit the GPUs.
    """
    from engine.report import summarize
    from engine.report.tracked_runs import tracked_revisions
    from engine.report.tracking import check_tracker, track
    from scripts.commands.run_command import execute_run, print_summary, run_mode, say_what_is_kept
    from scripts.commands.terminal import error_console, output_console

    refuse_without_plan(plan, gpu, price)
    check_tracker(config.report_to)
    mode = run_mode(update=update, overwrite=overwrite, retry_failed=retry_failed)
    if plan:
        _plan(config, shard, gpu, price)
        return
    console = error_console()
    with opened_run(config, shard, mode) as run:
        if run.directory.keeps_records:
            say_what_is_kept(run, console)
        elif run.updated:
            _say_what_is_redone(run, console)

        def sum_up() -> None:
            print_summary(summarize(run.directory.path), output_console())
            if config.report_to != "none" and run.prompts.shard is None:
                track(config.report_to, tracked_revisions(run.directory.path), run.directory.path)

        raise typer.Exit(execute_run(run, console, sum_up))


def _plan(config: "ReviseConfig", shard: str | None, gpu: str | None, price: float | None) -> None:
    """What the run, or its shard, would generate, and what that takes of a GPU."""
    from engine.runs.edit_cost import known_from
    from engine.runs.opening import open_inputs
    from engine.runs.plan import plan_run
    from engine.settings import Roles

    place = place_of(config, shard)
    inputs = open_inputs(config, place.of).at(place)
    prompts, models, settings = inputs.prompts, Roles(**inputs.models), config.revise
    with known_from(place.directory) as known:
        planned = plan_run(prompts, prompts.count, inputs.rules, models, settings, known=known)
    _print_plan(planned, models, settings)
    _print_resources(planned, config.roles.specs, gpu, price)


def _say_what_is_redone(run: "Run[Any]", console: "Console") -> None:
    from engine.runs.run import RevisionRun
    from scripts.commands.run_command import edited

    if not isinstance(run, RevisionRun):
        return
    expected = run.plan()
    calls = sum(expected.calls.values())
    bound = "at most " if run.settings.judges_first else ""
    console.print(
        f"{edited(run)}: {bound}{expected.conversations_to_generate:,} of "
        f"{expected.conversations:,} conversations are generated again ({calls:,} calls, "
        f"{expected.cached_calls:,} re-used); the previous records are in {run.aside}"
    )


def _print_plan(plan: "Plan", roles: "Roles", settings: "LoopSettings") -> None:
    from rich.table import Table

    from engine.report.wording import duration
    from engine.runs.throughput import expected_seconds
    from scripts.commands.terminal import output_console

    table = Table(
        "role", "model", "calls", title="What this run would generate", title_justify="left"
    )
    for name, role in roles:
        table.add_row(name, role.generator.spec, f"{plan.calls[name]:,}")
    console = output_console()
    console.print(table)
    most = "at most " if settings.judges_first else ""
    console.print(f"conversations   {plan.conversations:,}")
    console.print(
        f"calls           {most}{sum(plan.calls.values()):,} (and {plan.cached_calls:,} re-used)"
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


def _print_resources(
    plan: "Plan", specs: "Mapping[str, str]", gpu: str | None, price: float | None
) -> None:
    """What the engines take of GPUs. Raises InputError if they do not fit."""
    from engine.sizing.sized import Sizes
    from engine.sizing.stages import revision_resources
    from scripts.commands.resources import machine_to_plan_for, print_resources
    from scripts.commands.terminal import output_console

    machine, sizes = machine_to_plan_for(gpu), Sizes(ask_hub=gpu is not None)
    found = revision_resources(plan, specs, sizes, machine)
    console = output_console()
    print_resources(found, sizes, machine, price, lambda line: console.print(line, soft_wrap=True))
