"""What `solon try` does: one conversation through the loop, once or after every save."""

from collections.abc import Coroutine

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem, Stopped, all_problems
from constitution.schema import Constitution
from engine.loop.critique_revise import ConversationFailed, critique_and_revise
from engine.prompts.sources import Prompt, prompts_from
from engine.runs.config import LoopConfig
from engine.settings import LoopSettings, Roles, for_stakeholder
from scripts.commands.conversation_view import Watcher
from scripts.commands.terminal import (
    error_console,
    output_console,
    run_interruptibly,
)
from scripts.commands.try_watch import Session

__all__ = ["try_prompt"]


def try_prompt(constitution: str, text: str, config: LoopConfig, *, watch: bool = False) -> None:
    """Run one conversation and print each step as it comes; with `watch` again after every save.

    Raises InputError, also when the conversation itself could not be finished.
    """
    settings = config.revise
    loaded, prompts, roles = all_problems(
        lambda: for_stakeholder(load_constitution(constitution), settings.stakeholder),
        lambda: list(prompts_from([text])),
        lambda: Roles(**config.roles.open(config.sampling)),
    )
    status = error_console().status("starting the model")
    watcher = Watcher(output_console(), status)
    with status:
        try:
            if watch:
                session = Session(constitution, prompts[0], roles, settings, watcher)
                work = _warm(roles, session.run(loaded))
            else:
                work = _warm(roles, _once(prompts[0], loaded, roles, settings, watcher))
            run_interruptibly(work, status.stop)
        except ConversationFailed as failed:
            raise InputError(Problem(f"the {failed.stage}", str(failed))) from failed
        except Stopped as stopped:  # nothing is kept of one conversation: there is no resuming
            raise InputError(Problem("the model", str(stopped))) from stopped


async def _warm(roles: Roles, work: Coroutine[None, None, None]) -> None:
    """Do `work` with every model started, and stop them after it."""
    try:
        for generator in roles.generators:
            await generator.start()
        await work
    finally:
        work.close()
        for generator in roles.generators:
            await generator.close()


async def _once(
    prompt: Prompt,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    watcher: Watcher,
) -> None:
    watcher.begin(prompt)
    record = await critique_and_revise(
        prompt, constitution, roles, settings, on_step=watcher.step, on_text=watcher.on_text
    )
    watcher.conclude(record)
