"""`solon export`: a run's records as a dataset to train on, or as questions to reviewers."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from constitution.problems import InputError, Problem

if TYPE_CHECKING:
    from training.data.export import ExportResult

Queue = Literal["pairs", "escalated", "ratings"]
_FOR_ROWS = (
    "test_share", "mix", "mix_ratio", "people", "people_weight", "leave_out", "every_revision",
    "compliant", "escalated", "reviews",
)  # fmt: skip

__all__ = ["export"]


def export(
    ctx: typer.Context,
    run: Annotated[
        Path, typer.Argument(help="Directory of a run; or a file of rows, or hf:NAME, for --out.")
    ],
    format: Annotated[
        Literal["trl-sft", "trl-preference", "trl-prompt", "llm-swarm", "label-studio", "argilla"],
        typer.Option("--format", "-f", help="Shape of the rows, or the tool to review them in."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Directory to write; by default RUN/exports/FORMAT, or TOOL-QUEUE to review.",
        ),
    ] = None,
    test_share: Annotated[
        float, typer.Option(help="Share of the prompts to hold out in test.jsonl.")
    ] = 0.0,
    mix: Annotated[
        str | None,
        typer.Option(help="Other data, such as helpful answers: JSONL, CSV, Parquet or hf:NAME."),
    ] = None,
    mix_ratio: Annotated[float, typer.Option(help="Share of all rows that --mix makes.")] = 0.2,
    people: Annotated[
        str | None,
        typer.Option(help="People's preferences: they replace the judge's of the same prompts."),
    ] = None,
    people_weight: Annotated[
        int, typer.Option(min=1, help="Each row of --people counts N times.")
    ] = 1,
    leave_out: Annotated[
        Path | None, typer.Option(help="A file of prompts of which no row is written.")
    ] = None,
    every_revision: Annotated[
        bool, typer.Option("--every-revision", help="A row for each accepted revision.")
    ] = False,
    compliant: Annotated[
        bool, typer.Option(help="trl-sft: also answers that were compliant as they stood.")
    ] = True,
    escalated: Annotated[
        bool, typer.Option("--escalated", help="Also records that wait for a person to look.")
    ] = False,
    reviews: Annotated[
        Path | None,
        typer.Option(help="What import-reviews wrote: people's verdicts outweigh the judge's."),
    ] = None,
    queue: Annotated[
        Queue | None,
        typer.Option(
            help="To review: pairs of replies (as by default), escalated answers, or answers to rate from 1 to 5."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="To review: at most N, drawn at random.")
    ] = None,
    repeat: Annotated[
        float,
        typer.Option(
            min=0, max=0.5, help="To review: share of the questions that are asked twice."
        ),
    ] = 0.05,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the dataset.")] = False,
) -> None:
    """Export a run as training data, or its replies for people to review.

    Training data comes with a card, and what was left out is said with the reason. Reviewers do not
    see what the judge chose.
    """
    if problems := list(_unread(ctx, format)):
        raise InputError(problems)
    if format in ("label-studio", "argilla"):
        from training.review.export import export_review

        asked = export_review(
            run, format, queue or "pairs", out, limit=limit, repeat=repeat, overwrite=overwrite
        )
        typer.echo(f"{asked.path}: {asked.items:,} of {asked.available:,} questions to reviewers")
        typer.echo("  README.md says how to import them; key.jsonl is not for reviewers")
        return
    from training.data.export import ExportFormat, ExportOptions, export_run

    options = ExportOptions(
        every_revision=every_revision,
        include_compliant=compliant,
        include_escalated=escalated,
        test_share=test_share,
        mix=mix,
        mix_ratio=mix_ratio,
        people=people,
        people_weight=people_weight,
        leave_out=leave_out,
        reviews=reviews,
    )
    _tell(export_run(run, ExportFormat(format), out, options, overwrite=overwrite))


def _unread(ctx: typer.Context, format: str) -> Iterator[Problem]:
    """Each option that was given and has no effect on what is exported."""
    if format in ("label-studio", "argilla"):
        why = dict.fromkeys(_FOR_ROWS, f"is not for --format {format}")
    else:
        why = dict.fromkeys(("queue", "limit", "repeat"), "is for --format label-studio or argilla")
        if ctx.params["mix"] is None:
            why["mix_ratio"] = "is for --mix"
        if ctx.params["people"] is None:
            why["people_weight"] = "is for --people"
        if format != "trl-sft":
            why["compliant"] = "is for --format trl-sft"
        if format not in ("trl-sft", "llm-swarm"):
            why["every_revision"] = "is for --format trl-sft or llm-swarm"
        if format == "trl-prompt":
            why |= dict.fromkeys(("escalated", "reviews"), "is not for --format trl-prompt")
    for option in ctx.command.params:
        source = ctx.get_parameter_source(option.name or "")
        if option.name in why and source is not None and source.name == "COMMANDLINE":
            says_no = ctx.params[option.name] is False
            name = (option.secondary_opts if says_no else option.opts)[0]
            yield Problem(name, why[option.name], "leave it out")


def _tell(result: "ExportResult") -> None:
    from engine.report.wording import in_words

    held_out = f", {result.test_rows:,} held out" if result.test_rows else ""
    typer.echo(f"{result.path}: {result.rows:,} rows to train on{held_out}")
    for count, told in (
        (result.overridden, "rows as people decided"),
        (result.mixed, "rows mixed in"),
        (result.truncated, "rows cut off at the token limit"),
        (result.mix_missing, "more to mix in were wanted than there are"),
    ):
        if count:
            typer.echo(f"  {count:,} {told}")
    for reason, count in Counter(result.skipped).most_common():
        typer.echo(f"  {count:,} records left out: {in_words(reason)}")
