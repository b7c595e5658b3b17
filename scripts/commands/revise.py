"""`solon revise`: prompts through the loop into a run directory; `--plan` says what it would cost."""

from scripts.commands import options as o

__all__ = ["revise"]


def revise(
    constitution: o.ConstitutionFile,
    prompts: o.Prompts,
    model: o.Model,
    out: o.Out,
    critic: o.Critic = None,
    reviser: o.Reviser = None,
    judge: o.Judge = None,
    chat_template: o.ChatTemplate = None,
    rounds: o.Rounds = 1,
    every_principle: o.EveryPrinciple = False,
    stop_when_compliant: o.StopWhenCompliant = False,
    final_check: o.FinalCheck = True,
    stakeholder: o.Stakeholder = None,
    seed: o.Seed = 0,
    window: o.WindowSize = None,
    max_tokens: o.MaxTokens = 512,
    temperature: o.Temperature = 0.7,
    top_p: o.TopP = 1.0,
    keep_truncated: o.KeepTruncated = False,
    prompt_column: o.PromptColumn = None,
    id_column: o.IdColumn = None,
    tags_column: o.TagsColumn = None,
    limit: o.Limit = None,
    plan: o.PlanOnly = False,
    update: o.Update = False,
    overwrite: o.Overwrite = False,
) -> None:
    """Answer prompts, critique and revise the answers, and record every step."""
    from scripts.commands import revise_run as run
    from scripts.commands.run_command import PromptOptions, run_mode

    settings = run.loop_settings(
        rounds,
        every_principle,
        stop_when_compliant,
        final_check,
        stakeholder,
        seed,
        keep_truncated=keep_truncated,
    )
    columns = PromptOptions(prompt_column, id_column, tags_column, limit)
    cast = run.RoleOptions(
        model, critic, reviser, judge, chat_template, max_tokens, temperature, top_p
    )
    mode = run_mode(update=update, overwrite=overwrite)
    run.revise_into(out, constitution, prompts, columns, cast, settings, mode, window, plan=plan)
