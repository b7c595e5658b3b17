"""What `solon revise` does with its options: read and check all of them, plan, run, sum up."""

from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from constitution.loader import load_constitution
from constitution.schema import Constitution
from engine.generators.base import Generator, Sampling
from engine.generators.spec import open_generator
from engine.prompts.sources import PromptSource
from engine.report import summarize
from engine.runs.directory import Mode
from engine.runs.plan import Plan, plan_run
from engine.runs.run import RevisionRun
from engine.runs.throughput import expected_seconds
from engine.settings import LoopSettings, RoleModel, Roles
from engine.storage.completion_cache import CompletionCache
from scripts.commands.progress_display import duration
from scripts.commands.run_command import PromptOptions, execute_run, for_stakeholder, profile_shares
from scripts.commands.summary_table import print_summary
from scripts.commands.terminal import all_problems, error_console, output_console

__all__ = ["RoleOptions", "loop_settings", "revise_into"]


@dataclass(frozen=True, slots=True)
class RoleOptions:
    """Which spec plays which role, and how they sample."""

    model: str
    critic: str | None
    reviser: str | None
    judge: str | None
    chat_template: Path | None
    max_tokens: int
    temperature: float
    top_p: float

    def open(self) -> Roles:
        """Equal specs share one generator; roles left out fall to the critic, else the model."""
        sampling = Sampling(self.max_tokens, self.temperature, self.top_p)
        opened: dict[str, Generator] = {}

        def role(spec: str) -> RoleModel:
            if spec not in opened:
                opened[spec] = open_generator(spec, chat_template=self.chat_template)
            return RoleModel(opened[spec], sampling)

        helper = self.critic or self.model
        policy, critic = role(self.model), role(helper)
        return Roles(policy, critic, role(self.reviser or helper), role(self.judge or helper))


def loop_settings(
    rounds: int,
    every_principle: bool,
    stop_when_compliant: bool,
    final_check: bool,
    stakeholder: str | None,
    seed: int,
    *,
    keep_truncated: bool = False,
) -> LoopSettings:
    """The loop's settings as the command line gives them."""
    return LoopSettings(
        rounds=rounds,
        every_principle=every_principle,
        stop_when_compliant=stop_when_compliant,
        final_check=final_check,
        stakeholder=profile_shares(stakeholder),
        seed=seed,
        keep_truncated=keep_truncated,
    )


def revise_into(
    out: Path,
    constitution: str,
    prompts: str,
    columns: PromptOptions,
    cast: RoleOptions,
    settings: LoopSettings,
    mode: Mode,
    window: int | None,
    *,
    plan: bool,
) -> None:
    """Check every input, then plan or run. Exits 1 if conversations failed, 130 if interrupted."""
    loaded: Constitution
    source: PromptSource
    loaded, source, roles = all_problems(
        lambda: for_stakeholder(load_constitution(constitution), settings.stakeholder),
        lambda: columns.open(prompts),
        cast.open,
    )
    console = error_console()
    if plan:
        _print_plan(_plan(out, loaded, source, roles, settings), roles)
        return
    run = RevisionRun(out, source, loaded, roles, settings, mode=mode, window=window)
    raise typer.Exit(_execute(run, console))


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
        f"{expected.cached_calls:,} re-used); the previous records are in {run.directory.aside}"
    )


def _plan(
    out: Path, constitution: Constitution, source: PromptSource, roles: Roles, s: LoopSettings
) -> Plan:
    path = out / "completions.sqlite"
    if not path.exists():
        return plan_run(source, source.count, constitution, roles, s)
    with CompletionCache(path) as cache:
        return plan_run(source, source.count, constitution, roles, s, cache=cache)


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
