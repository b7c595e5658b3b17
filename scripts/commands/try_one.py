"""`solon try`: one conversation live, principle by principle."""

from typing import Annotated

import typer

from scripts.commands import options as o

__all__ = ["try_one"]


def try_one(
    constitution: Annotated[str, typer.Argument(help="A YAML file, or a shipped name.")],
    prompt: Annotated[str, typer.Argument(help="What the user says.")],
    model: o.Model = "embedded",
    critic: o.Critic = None,
    reviser: o.Reviser = None,
    judge: o.Judge = None,
    chat_template: o.ChatTemplate = None,
    rounds: o.Rounds = 2,
    every_principle: o.EveryPrinciple = False,
    stop_when_compliant: o.StopWhenCompliant = False,
    final_check: o.FinalCheck = True,
    stakeholder: o.Stakeholder = None,
    seed: o.Seed = 0,
    max_tokens: o.MaxTokens = 512,
    temperature: o.Temperature = 0.7,
    top_p: o.TopP = 1.0,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Again after every save, showing only what changed."),
    ] = False,
) -> None:
    """Show one prompt answered, criticised and revised, with the changed words marked."""
    from scripts.commands.revise_run import RoleOptions, loop_settings
    from scripts.commands.try_run import try_prompt

    settings = loop_settings(
        rounds, every_principle, stop_when_compliant, final_check, stakeholder, seed
    )
    cast = RoleOptions(model, critic, reviser, judge, chat_template, max_tokens, temperature, top_p)
    try_prompt(constitution, prompt, cast, settings, watch=watch)
