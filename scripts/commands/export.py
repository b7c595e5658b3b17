"""`solon export`: a run's records as a dataset to train on, or as questions to reviewers."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from constitution.problems import InputError, Problem

if TYPE_CHECKING:
    from training.data.export import ExportResult

Queue = Literal["pairs", "escalated", "ratings"]

__all__ = ["export"]


def export(
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
    if format in ("label-studio", "argilla"):
        not_for_review = {
            "--test-share": test_share,
            "--mix": mix,
            "--people": people,
            "--leave-out": leave_out,
            "--every-revision": every_revision,
            "--escalated": escalated,
            "--reviews": reviews,
        }
        _refuse(not_for_review, f"is not for --format {format}")
        from training.review.export import export_review

        asked = export_review(
            run, format, queue or "pairs", out, limit=limit, repeat=repeat, overwrite=overwrite
        )
        typer.echo(f"{asked.path}: {asked.items:,} of {asked.available:,} questions to reviewers")
        typer.echo("  README.md says how to import them; key.jsonl is not for reviewers")
        return
    _refuse({"--queue": queue, "--limit": limit}, "is for --format label-studio or argilla")
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


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Raise InputError naming each of `options` that was given."""
    if problems := [Problem(name, why, "leave it out") for name, value in options.items() if value]:
        raise InputError(problems)


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
