"""`solon label`: a policy's answers, paired and compared by a judge; `--validate` tries the judge."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from scripts.commands import options as o

__all__ = ["label"]

_LABELS, _JUDGE = "Labels", "The judge alone"

Constitution = Annotated[
    str | None,
    typer.Option(
        "--constitution", "-c", help="A YAML file, or a shipped name.", rich_help_panel=_LABELS
    ),
]
Prompts = Annotated[
    str | None,
    typer.Option(
        "--prompts",
        "-p",
        help="JSONL, JSON, CSV, Parquet, a saved dataset, or hf:NAME.",
        rich_help_panel=_LABELS,
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help="The model that answers.", rich_help_panel=_LABELS),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="The run directory; the same command resumes it.",
        rich_help_panel=_LABELS,
    ),
]
Judge = Annotated[
    str, typer.Option(metavar="SPEC", help="The model that judges.", rich_help_panel=_LABELS)
]
Samples = Annotated[
    int, typer.Option(min=2, help="Answers sampled per prompt.", rich_help_panel=_LABELS)
]
JudgingMethod = Annotated[
    Literal["pointwise", "pairwise"],
    typer.Option(
        help="Ask whether each answer breaks the principle, or which of two is better, in both "
        "orders. Small judges can only do the first.",
        rich_help_panel=_LABELS,
    ),
]
Ensemble = Annotated[
    int,
    typer.Option(
        min=1, help="Principles drawn per pair; their mean is the label.", rich_help_panel=_LABELS
    ),
]
ChainOfThought = Annotated[
    bool,
    typer.Option(
        "--chain-of-thought",
        help="pairwise: the judge reasons first; its probability is kept within 40 to 60 %.",
        rich_help_panel=_LABELS,
    ),
]
Pairs = Annotated[
    Literal["disjoint", "all"],
    typer.Option(help="Each answer in one pair, or every two.", rich_help_panel=_LABELS),
]
Validate = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Do not label: print how often the judge prefers the better reply of FILE's "
        "comparisons (prompt, chosen, rejected).",
        rich_help_panel=_JUDGE,
    ),
]
PrincipleId = Annotated[
    str | None,
    typer.Option(
        "--principle", metavar="ID", help="Validate on this one alone.", rich_help_panel=_JUDGE
    ),
]


def label(
    judge: Judge,
    constitution: Constitution = None,
    prompts: Prompts = None,
    policy: Policy = None,
    out: Out = None,
    samples: Samples = 4,
    method: JudgingMethod = "pointwise",
    ensemble: Ensemble = 1,
    chain_of_thought: ChainOfThought = False,
    pairs: Pairs = "disjoint",
    validate: Validate = None,
    principle: PrincipleId = None,
    chat_template: o.ChatTemplate = None,
    stakeholder: o.Stakeholder = None,
    seed: o.Seed = 0,
    window: o.WindowSize = None,
    max_tokens: o.MaxTokens = 512,
    temperature: o.Temperature = 1.0,
    top_p: o.TopP = 1.0,
    keep_truncated: o.KeepTruncated = False,
    prompt_column: o.PromptColumn = None,
    id_column: o.IdColumn = None,
    tags_column: o.TagsColumn = None,
    limit: o.Limit = None,
    update: o.Update = False,
    overwrite: o.Overwrite = False,
) -> None:
    """Sample answers, pair them, and record which of each pair fits the constitution better."""
    from scripts.commands import label_run as run
    from scripts.commands.run_command import PromptOptions, profile_shares, run_mode

    run.check_chain_of_thought(chain_of_thought, method)
    if validate:
        from scripts.commands.label_validation import validate_into

        run.refuse_with_validate(prompts=prompts, policy=policy)
        asked = run.JudgeOptions(judge, chat_template, method, ensemble, chain_of_thought, seed)
        validate_into(out, validate, limit, constitution, principle, asked)
        return
    given = run.LabelInputs.checked(constitution, prompts, policy, out, principle)
    settings = run.LabelSettings(
        samples=samples,
        method=method,
        ensemble=ensemble,
        pairs=pairs,
        chain_of_thought=chain_of_thought,
        stakeholder=profile_shares(stakeholder),
        seed=seed,
        keep_truncated=keep_truncated,
    )
    columns = PromptOptions(prompt_column, id_column, tags_column, limit)
    cast = run.LabelCast(given.policy, judge, chat_template, max_tokens, temperature, top_p)
    mode = run_mode(update=update, overwrite=overwrite)
    run.label_into(given, columns, cast, settings, mode, window)
