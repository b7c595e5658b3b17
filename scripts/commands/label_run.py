"""What `solon label` does with its options: read and check all of them, run, sum up."""

from pathlib import Path

import typer
from rich.console import Console

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem, all_problems
from engine.records import AnswerDrop
from engine.report import LabelSummary, summarize_labels
from engine.report.wording import reason_counts
from engine.runs.config import LabelConfig
from engine.runs.label_run import LabelRun
from engine.runs.output import Mode
from engine.settings import for_stakeholder
from scripts.commands.label_table import print_labels
from scripts.commands.run_command import execute_run
from scripts.commands.terminal import error_console

__all__ = ["label_into"]


def label_into(config: LabelConfig, mode: Mode) -> None:
    """Check every input, then run. Exits 1 if prompts failed, 130 if interrupted; raises InputError
    if no pair has a label in the end."""
    rules, source, models = all_problems(
        lambda: for_stakeholder(load_constitution(config.constitution), config.label.stakeholder),
        config.prompts.open,
        lambda: config.roles.open(config.sampling),
    )
    out, console = Path(config.out), error_console()
    run = LabelRun(
        out, source, rules, models["policy"], models["judge"], config.label,
        mode=mode, window=config.window,
    )  # fmt: skip
    if run.updated:
        console.print(
            "the constitution was edited: what it does not touch is re-used; the previous records "
            f"are in {run.aside}"
        )

    def sum_up() -> int:
        summary = summarize_labels(out)
        print_labels(summary, Console())
        if summary.failure_kinds:
            return 1
        if not summary.labelled:
            raise InputError(_no_labels(out, summary))
        return 0

    raise typer.Exit(execute_run(run, console, sum_up))


def _no_labels(out: Path, summary: LabelSummary) -> Problem:
    if not summary.pairs:
        remedy = "raise --samples or --temperature, or see whether a principle applies"
        told = ""
        if cut := summary.answer_drops[AnswerDrop.TRUNCATED]:
            told = f": {cut:,} of {summary.answers:,} answers ran into the token limit"
            remedy = "raise --max-tokens, or add --keep-truncated"
        return Problem(str(out), f"has no pair of answers to compare{told}", remedy)
    reasons = reason_counts(summary.undecided)
    remedy = (
        "try another --method or --judge; `solon judge calibrate FILE --judge SPEC` says whether "
        "a judge is better than chance"
    )
    return Problem(str(out), f"none of {summary.pairs:,} pairs has a label ({reasons})", remedy)
