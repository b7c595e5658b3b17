"""`solon try`: one conversation live, principle by principle."""

from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks

if TYPE_CHECKING:
    from constitution.schema import Constitution
    from engine.prompts.sources import Prompt
    from engine.runs.config import LoopConfig
    from engine.settings import LoopSettings, Roles
    from scripts.commands.conversation_view import Watcher

__all__ = ["try_one"]


@o.configured("engine.runs.config:LoopConfig", {"roles.policy": ("--model", "-m")})
def try_one(
    config: "LoopConfig",
    constitution: Annotated[str, typer.Argument(help="A YAML file, or a shipped name.")],
    prompt: Annotated[str, typer.Argument(help="What the user says.")],
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Again after every save, showing only what changed."),
    ] = False,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Show one prompt answered, criticised and revised, with the changed words marked."""
    from constitution.loader import load_for_judging
    from constitution.problems import InputError, Problem, Stopped, all_problems
    from engine.loop.asking import ConversationFailed
    from engine.prompts.sources import prompts_from
    from engine.settings import Roles, for_stakeholder
    from scripts.commands.conversation_view import Watcher
    from scripts.commands.terminal import error_console, output_console, run_interruptibly

    rules, (asked,), roles = all_problems(
        lambda: for_stakeholder(load_for_judging(constitution), config.revise.stakeholder),
        lambda: list(prompts_from([prompt])),
        lambda: Roles(**config.roles.open(config.sampling)),
    )
    status = error_console().status("starting the model")
    watcher = Watcher(output_console(), status)

    with status:
        try:
            work = _converse(
                config.revise, roles, rules, asked, watcher, constitution if watch else None
            )
            run_interruptibly(work, status.stop)
        except ConversationFailed as failed:
            raise InputError(Problem(f"the {failed.stage}", str(failed))) from failed
        except Stopped as stopped:  # nothing is kept of one conversation: there is no resuming
            raise InputError(Problem("the model", str(stopped))) from stopped


async def _converse(
    settings: "LoopSettings",
    roles: "Roles",
    rules: "Constitution",
    prompt: "Prompt",
    watcher: "Watcher",
    watched: str | None,
) -> None:
    """Once, or with the name of a constitution to watch again after every save of it."""
    from engine.generators.base import started
    from engine.loop.critique_revise import critique_and_revise
    from scripts.commands.try_watch import Session

    async with started(roles.generators):
        if watched:
            await Session(watched, prompt, roles, settings, watcher).run(rules)
            return
        watcher.begin(prompt)
        record = await critique_and_revise(
            prompt, rules, roles, settings, on_step=watcher.step, on_text=watcher.on_text
        )
        watcher.conclude(record)
