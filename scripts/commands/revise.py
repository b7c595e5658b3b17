"""`solon revise`: prompts through the loop into a run directory; `--plan` says what it would cost."""

from typing import TYPE_CHECKING

from scripts.commands import options as o

if TYPE_CHECKING:
    from engine.runs.config import ReviseConfig

__all__ = ["revise"]


def _config() -> "type[ReviseConfig]":
    from engine.runs.config import ReviseConfig

    return ReviseConfig


@o.configured(_config, {"roles.policy": ("--model", "-m")})
def revise(
    config: "ReviseConfig",
    plan: o.PlanOnly = False,
    update: o.Update = False,
    overwrite: o.Overwrite = False,
) -> None:
    """Answer prompts, critique and revise the answers, and record every step."""
    from scripts.commands.revise_run import plan_only, revise_into
    from scripts.commands.run_command import run_mode

    mode = run_mode(update=update, overwrite=overwrite)
    if plan:
        plan_only(config)
    else:
        revise_into(config, mode)
