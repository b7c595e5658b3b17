"""A run on a terminal: its start, its progress and its end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from constitution.problems import EXIT_INTERRUPTED, InputError, Problem
from engine.judging.records import LabelOutcome
from engine.records import DropReason, Outcome
from engine.report import LabelSummary, PrincipleSummary, RunSummary
from engine.report.label_summary import CONFIDENT
from engine.report.summary import FailureKind
from engine.report.wording import decimal, duration, in_words, judge_note, percent, visible
from engine.runs.output import Mode
from engine.runs.run import Progress, Run
from engine.runs.throughput import remember_throughput
from scripts.commands.models_table import print_facts
from scripts.commands.terminal import figures_table, run_interruptibly

__all__ = ["edited", "execute_run", "print_labels", "print_summary", "run_mode", "say_what_is_kept"]

_EVERY, _SELDOMEST = 5.0, 60.0
"""Seconds between lines in a log, more as the run goes on: a tenth of its age."""
_EVERY_WHILE_STARTING = 20.0


def run_mode(*, update: bool, overwrite: bool, retry_failed: bool) -> Mode:
    """How to treat what --out holds already."""
    if retry_failed and (update or overwrite):
        remedy = "give --retry-failed alone: it resumes the run"
        raise InputError(Problem("--retry-failed", "excludes --update and --overwrite", remedy))
    if retry_failed:
        return "retry-failed"
    if update and overwrite:
        remedy = "--update keeps the previous records, --overwrite discards them"
        raise InputError(Problem("--update --overwrite", "exclude each other", remedy))
    return "update" if update else "overwrite" if overwrite else "resume"


def edited(run: Run[Any]) -> str:
    """What was edited since the run that this one continues, in words."""
    parts = run.directory.output.changed
    return f"the {' and the '.join(parts)} {'was' if parts == ('constitution',) else 'were'} edited"


def say_what_is_kept(run: Run[Any], console: Console) -> None:
    """Say what became of the records of the run that this one continues."""
    kept = "what that does not touch is re-used"
    if run.directory.keeps_records:
        kept = f"{run.progress().resumed:,} of {run.prompts.count:,} records are kept"
    console.print(f"{edited(run)}: {kept}; the previous records are in {run.aside}", soft_wrap=True)


def execute_run(run: Run[Any], console: Console, sum_up: Callable[[], None]) -> int:
    """Take the run to its end and have it summed up, unless it is interrupted; the exit code, 1 where some
    of it failed."""
    nulls, texts = run.prompts.replaced
    if nulls or texts:
        line = f"{run.prompts.path}: of the values that JSON cannot hold {nulls:,} became null"
        console.print(f"{line} (NaN, infinities, bytes) and {texts:,} text", soft_wrap=True)
    if run.complete:
        console.print(f"{run.directory.path}: every conversation is finished; nothing to do")
    elif run.progress().resumed:
        done, total = run.progress().done, run.progress().total
        console.print(f"resuming {run.directory.path}: {done:,} of {total:,} are finished")

    run.on_checked = partial(print_facts, console)

    async def work() -> None:
        try:
            if not run.complete:
                async with _shown_progress(console, run.progress):
                    await run.execute()
                model, now = next(iter(run.models.values())).generator, run.progress()
                remember_throughput(model.fingerprint, now.counts.completion_tokens, now.seconds)
        finally:
            await run.close()

    try:
        run_interruptibly(work(), lambda: console.print("stopping: finished work is on disk"))
    except KeyboardInterrupt:
        now = run.progress()
        left = f"{now.done:,} of {now.total:,} conversations are finished"
        console.print(f"interrupted: {left}; the same command resumes")
        return EXIT_INTERRUPTED
    sum_up()
    return 1 if run.progress().totals.get("failed") else 0


@contextlib.asynccontextmanager
async def _shown_progress(
    console: Console, progress: Callable[[], Progress]
) -> AsyncIterator[None]:
    """Show `progress()` until the block ends."""
    show = _live if console.is_terminal else _lines
    task = asyncio.ensure_future(show(console, progress))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _live(console: Console, progress: Callable[[], Progress]) -> None:
    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} conversations"),
        TextColumn("{task.fields[figures]}", style="dim"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        now = progress()
        shown = bar.add_task("", total=now.total, completed=now.done, figures=_figures(now))
        while True:
            await asyncio.sleep(0.25)
            now = progress()
            bar.update(shown, completed=now.done, figures=_figures(now))


async def _lines(console: Console, progress: Callable[[], Progress]) -> None:
    began = last = time.monotonic()
    while True:
        await asyncio.sleep(0.5)
        now, clock = progress(), time.monotonic()
        pause = min(_SELDOMEST, max(_EVERY, (clock - began) / 10))
        if clock - last < (pause if now.started else _EVERY_WHILE_STARTING):
            continue
        last = clock
        line = f"{duration(clock - began)}: {now.done:,}/{now.total:,} conversations"
        console.print(f"{line} | {_figures(now)}", soft_wrap=True)


def _figures(now: Progress) -> str:
    if not now.started:
        return f"starting the model ({duration(now.starting)})"
    pace = now.counts.completion_tokens / now.seconds if now.seconds >= 1 else 0.0
    dropped = now.totals.get("dropped", 0) + now.totals.get("failed", 0)
    return (
        f"{pace:,.0f} tok/s | KV prefix {now.counts.prefix_share or 0:.0%} | "
        f"reused {now.counts.cached_share or 0:.0%} | dropped {dropped:,} | left {duration(now.seconds_left)}"
    )


_REMEDIES: Mapping[str, str] = {
    DropReason.TRUNCATED_REVISION: " (raise --max-tokens, or add --keep-truncated)"
}
_NUMBERS = ("before", "criticised", "revised", "yield", "not kept", "after")
"""Before and after: answers that break the principle."""
_UNSURE = "unsure"
"""A column of its own only where the judge left something undecided."""


def print_summary(summary: RunSummary, console: Console) -> None:
    """The run's numbers as a table, a line for each principle and one for all prompts."""
    unsure = any(principle.undecided for principle in summary.principles)
    columns = (*_NUMBERS, *((_UNSURE,) if unsure else ()))
    table = figures_table("principle", *columns, title=_headline(summary, ""))
    for principle in summary.principles:
        last = (decimal(principle.undecided),) if unsure else ()
        table.add_row(Text(visible(principle.id)), *_numbers(principle), *last)
    console.print(table)
    lines = [
        *filter(None, [judge_note(summary.calibration)]),
        _totals(summary),
        *_reasons("not kept", summary.refused.items()),
    ]
    _print_lines([*lines, *_failures(summary.failure_kinds)], console)


def print_labels(summary: LabelSummary, console: Console) -> None:
    """A line for each principle, then the outcomes of prompts, answers and pairs."""
    columns = ("pairs", "labelled", "confident", "undecided")
    table = figures_table("principle", *columns, title=_headline(summary, "labels by "))
    for name, counts in summary.principles.items():
        numbers = (counts.drawn, counts.labelled, counts.confident, counts.undecided)
        table.add_row(Text(visible(name)), *map(decimal, numbers))
    console.print(table)
    _print_lines(_label_totals(summary), console)


def _print_lines(lines: Iterable[str], console: Console) -> None:
    for line in lines:
        console.print(Text(visible(line)), soft_wrap=True)


def _headline(summary: RunSummary | LabelSummary, by: str) -> Text:
    constitution = summary.manifest.get("constitution", {})
    name = f"{constitution.get('name', 'unnamed')} {constitution.get('version', '')}".strip()
    state = "complete" if summary.complete else "interrupted"
    return Text(visible(f"{summary.name}: {by}{name}, {state}"), "italic")


def _reasons(word: str, counts: Iterable[tuple[str, int]]) -> list[str]:
    ordered = sorted(counts, key=lambda item: -item[1])
    return [
        f"  {word} {count:,}: {in_words(reason)}{_REMEDIES.get(reason, '')}"
        for reason, count in ordered
    ]


def _failures(kinds: Mapping[FailureKind, int]) -> list[str]:
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    return [
        f"  failed {count:,}: {in_words(kind.reason)} ({kind.stage})" for kind, count in ordered
    ]


def _numbers(principle: PrincipleSummary) -> tuple[str | Text, ...]:
    return (
        decimal(principle.broken_at_first if principle.screened else None),
        decimal(principle.criticised),
        decimal(principle.revised),
        percent(principle.revision_yield),
        decimal(principle.dropped),
        Text(f"{principle.violated:,}", "red" if principle.violated else ""),
    )


def _totals(summary: RunSummary) -> str:
    count = {outcome: summary.outcomes.get(outcome, 0) for outcome in Outcome}
    return (
        f"{summary.prompts:,} prompts: {count[Outcome.REVISED]:,} revised "
        f"({percent(summary.revision_yield)} of those not compliant), "
        f"{count[Outcome.COMPLIANT]:,} compliant, {count[Outcome.UNRESOLVED]:,} unresolved, "
        f"{count[Outcome.DROPPED]:,} dropped, "
        f"{summary.failed:,} failed, {summary.escalated:,} escalated"
    )


def _label_totals(summary: LabelSummary) -> list[str]:
    outcomes = summary.outcomes
    lines = [
        f"{summary.prompts:,} prompts: {outcomes[LabelOutcome.LABELLED]:,} with labels, "
        f"{outcomes[LabelOutcome.DROPPED]:,} without, {summary.failure_kinds.total():,} failed"
    ]
    lines += _reasons("without", summary.drop_reasons.items())
    lines += _failures(summary.failure_kinds)
    dropped = summary.answer_drops.total()
    lines.append(f"{summary.answers:,} answers sampled, {dropped:,} dropped")
    lines += _reasons("dropped", summary.answer_drops.items())
    share = summary.confident / summary.labelled if summary.labelled else None
    lines.append(
        f"{summary.pairs:,} pairs: {summary.labelled:,} labelled, {percent(share)} of them at "
        f"{CONFIDENT:.0%} or more"
    )
    lines += _reasons("dropped", summary.undecided.items())
    if summary.position_bias is not None:
        lines.append(f"mean position bias {summary.position_bias:+.2f} (0 is none, 1 always first)")
    return lines
