"""`solon answer`: a model's own answers to prompts, as rows to mix into training data."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scripts.commands import options as o
from scripts.commands.shard_options import ShardOption, opened_run

if TYPE_CHECKING:
    from engine.runs.config import AnswerConfig

__all__ = ["answer", "print_answers"]


@o.configured("engine.runs.config:AnswerConfig", {"roles.policy": ("--model", "-m")})
def answer(
    config: "AnswerConfig",
    update: o.Update = False,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    shard: ShardOption = None,
) -> None:
    """Answer prompts; empty and truncated answers are recorded, and left out of the rows."""
    from engine.runs.manifest import run_manifest
    from scripts.commands.run_command import execute_run, run_mode, say_what_is_kept
    from scripts.commands.terminal import error_console

    mode = run_mode(update=update, overwrite=overwrite, retry_failed=retry_failed)
    console = error_console()
    with opened_run(config, shard, mode) as run:
        if run.updated:
            say_what_is_kept(run, console)

        def sum_up() -> None:
            out = run.directory.path
            print_answers(out, run_manifest(out, "answer"))

        raise typer.Exit(execute_run(run, console, sum_up))


def print_answers(run: Path, manifest: Mapping[str, Any]) -> None:
    """Print the outcomes of an answer run's prompts, and where its rows are."""
    from engine.record_files import read_failures, read_rows
    from engine.records import AnswerRecord
    from engine.report.wording import in_words
    from engine.runs.directory import ANSWERS

    dropped, truncated = Counter[str](), 0
    for record in read_rows(run / "records.jsonl", AnswerRecord):
        dropped[record.drop_reason or ""] += 1
        truncated += record.truncated and not record.drop_reason
    typer.echo(f"{run / ANSWERS}: {dropped.pop('', 0):,} answers")
    if truncated:
        typer.echo(f"  {truncated:,} of them: truncated")
    for reason, count in dropped.most_common():
        typer.echo(f"  {count:,} left out: {in_words(reason)}")
    failed = Counter(failure.reason for failure in read_failures(run))
    for reason, count in failed.most_common():
        typer.echo(f"  {count:,} failed: {in_words(reason)}")
    if not manifest.get("complete"):
        typer.echo("  interrupted: the same command resumes it")
