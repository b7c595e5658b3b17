"""What `solon revise` and `solon label` share: their inputs, and a run from its start to its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from engine.prompts.sources import PromptSource, open_prompts
from engine.runs.directory import Mode
from engine.runs.run import Run
from engine.runs.throughput import remember_throughput
from scripts.commands.progress_display import shown_progress
from scripts.commands.terminal import EXIT_INTERRUPTED, run_interruptibly

__all__ = ["PromptOptions", "execute_run", "for_stakeholder", "profile_shares", "run_mode"]


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """Which columns of the prompts file to read, and how many rows."""

    prompt: str | None
    id: str | None
    tags: str | None
    limit: int | None

    def open(self, prompts: str) -> PromptSource:
        """The prompts of a file. Raises InputError with everything that is wrong in it."""
        return open_prompts(
            prompts,
            prompt_column=self.prompt,
            id_column=self.id,
            tags_column=self.tags,
            limit=self.limit,
        )


def run_mode(*, update: bool, overwrite: bool) -> Mode:
    """How to treat what --out holds already."""
    if update and overwrite:
        remedy = "--update keeps the previous records, --overwrite discards them"
        raise InputError(Problem("--update --overwrite", "exclude each other", remedy))
    return "update" if update else "overwrite" if overwrite else "resume"


def for_stakeholder(
    constitution: Constitution, stakeholder: str | Mapping[str, float] | None
) -> Constitution:
    """The constitution, if it has the profiles named. Raises InputError naming those it has."""
    named = [stakeholder] if isinstance(stakeholder, str) else list(stakeholder or ())
    for name in named:
        if name not in constitution.stakeholders:
            known = ", ".join(constitution.stakeholders) or "none"
            problem = f"{constitution.name} has no stakeholder `{name}`"
            raise InputError(Problem("--stakeholder", problem, f"it has: {known}"))
    return constitution


def profile_shares(stakeholder: str | None) -> str | dict[str, float] | None:
    """One profile as it is; `user=2,compliance=1` as shares. Raises InputError for other shapes."""
    if stakeholder is None or "=" not in stakeholder:
        return stakeholder
    shares = {}
    for part in stakeholder.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError as error:
            problem = f"`{part}` is no share of a profile"
            raise InputError(Problem("--stakeholder", problem, "write NAME=1,OTHER=2")) from error
    if not all(0 < share < float("inf") for share in shares.values()):
        raise InputError(Problem("--stakeholder", "every share must be a positive number"))
    return shares


def execute_run(run: Run[Any], console: Console, sum_up: Callable[[], int]) -> int:
    """Take the run to its end and have it summed up; the exit code, which is `sum_up`'s unless the
    run was interrupted."""
    if run.complete:
        console.print(f"{run.directory.path}: every conversation is finished; nothing to do")
    elif run.progress().resumed:
        done, total = run.progress().done, run.progress().total
        console.print(f"resuming {run.directory.path}: {done:,} of {total:,} are finished")

    async def work() -> None:
        try:
            if not run.complete:
                async with shown_progress(console, run.progress):
                    await run.execute()
                remember_throughput(run.cast["policy"].generator.fingerprint, run.progress())
        finally:
            await run.close()

    try:
        run_interruptibly(work(), lambda: console.print("stopping: finished work is on disk"))
    except KeyboardInterrupt:
        now = run.progress()
        left = f"{now.done:,} of {now.total:,} conversations are finished"
        console.print(f"interrupted: {left}; the same command resumes")
        return EXIT_INTERRUPTED
    return sum_up()
