"""A run's records as a dataset directory: `train.jsonl`, `test.jsonl` where asked for, a card.

Rows are streamed, so that a run of a million records is exported in the memory of one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonlines
from pydantic import ValidationError

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from constitution.typed_yaml import read_yaml_file
from constitution.validation import validated
from engine.judging.records import LabelRecord
from engine.record_files import read_records, read_rows
from engine.records import Outcome, Record
from engine.report.wording import reason_counts
from engine.runs.constitution_copy import CONSTITUTION
from engine.runs.manifest import run_manifest
from engine.storage.atomic import check_free, written_whole
from training.data.card import ExportResult, write_card
from training.data.datasets import (
    Mixture,
    Row,
    label_preference_rows,
    llm_swarm_rows,
    mix_rows,
    preference_row,
    prompt_row,
    sft_rows,
)
from training.data.people import beside_peoples, without_prompts
from training.data.readers import ANSWERS, Shape
from training.data.split import is_held_out
from training.review.overrides import Overrides

__all__ = ["ExportFormat", "ExportOptions", "ExportResult", "export_run", "run_constitution"]

_NO_RUN = {"complete": True, "kind": "rows"}
_FILES = {"train.jsonl", "test.jsonl", "README.md"}


class ExportFormat(StrEnum):
    """What a dataset is for."""

    TRL_SFT = "trl-sft"
    TRL_PREFERENCE = "trl-preference"
    TRL_PROMPT = "trl-prompt"
    """Prompts alone, for GRPO and for sampling."""
    LLM_SWARM = "llm-swarm"
    """The columns of Hugging Face's `cai-conversation` datasets, one critique to a row."""

    @property
    def shape(self) -> Shape | None:
        """The shape of rows that may be mixed in; None where none may."""
        return next((shape for shape in ANSWERS if self == f"trl-{shape}"), None)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What to leave out, hold out and mix in.

    `test_share` of the prompts go to `test.jsonl`; `mix` names other data, of which `mix_ratio` of
    all rows are made.
    """

    every_revision: bool = False
    include_compliant: bool = True
    include_escalated: bool = False
    test_share: float = 0.0
    mix: str | None = None
    mix_ratio: float = 0.2
    people: str | None = None
    """Preferences of people beside the judge's: each counts `people_weight` rows, and the judge's about
    the same prompts are left out."""
    people_weight: int = 1
    leave_out: Path | None = None
    """Prompts of which no row is written, such as those to evaluate on."""
    reviews: Path | None = None
    """What `solon import-reviews` wrote: people's verdicts, which outweigh the judge's."""


def export_run(
    run_dir: Path,
    format: ExportFormat,
    out: Path | None = None,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
) -> ExportResult:
    """Write the rows of a run, or of a file of rows, to the directory `out`, whole or not at all.

    By default `out` is `exports/FORMAT` in the run. Escalated records wait for a person and are
    left out unless asked for. Raises InputError if `run_dir` is neither, if it gives no row, or
    if `out` exists and is not to be overwritten.
    """
    options = options or ExportOptions()
    given = run_dir.is_file() or str(run_dir).startswith("hf:")
    out = _place(run_dir, format, out, options, given=given, overwrite=overwrite)
    manifest = _NO_RUN if given else run_manifest(run_dir, "revise", "label")
    skipped: Counter[str] = Counter()
    overrides = Overrides.read(options.reviews, run_dir)
    unmixed: Counter[str] = Counter()
    rows = (
        mix_rows(str(run_dir), _shape(format, "export"), skipped)
        if given
        else _run_rows(run_dir, manifest, format, options, overrides, skipped)
    )
    if options.people is not None:
        peoples = mix_rows(options.people, _shape(format, "people"), unmixed)
        rows = beside_peoples(peoples, options.people_weight, rows, unmixed)
    mixture = _mixture(format, options, unmixed)
    mixed = mixture.into(rows) if mixture else rows
    kept = without_prompts(mixed, options.leave_out, skipped)
    with written_whole(out) as unfinished:
        counted = _write_rows(unfinished, kept, options.test_share)
        if not counted["train"]:
            raise InputError(_no_rows(run_dir, counted, skipped))
        result = ExportResult(
            path=out,
            rows=counted["train"],
            test_rows=counted["test"],
            skipped={**skipped, **{f"mixed row: {reason}": n for reason, n in unmixed.items()}},
            mixed=mixture.drawn if mixture else 0,
            mix_missing=mixture.missing if mixture else 0,
            overridden=overrides.rows,
            truncated=counted["truncated"],
        )
        write_card(unfinished, run_dir, manifest, format, options.test_share, result)
    return result


def _no_rows(run_dir: Path, counted: Counter[str], skipped: Counter[str]) -> Problem:
    if counted["test"]:
        return Problem(str(run_dir), "leaves every row to the test split", "lower the test share")
    left_out = reason_counts(skipped) or "it has no records"
    return Problem(str(run_dir), f"gives no rows (left out: {left_out})", "")


def _place(
    run_dir: Path,
    format: ExportFormat,
    out: Path | None,
    options: ExportOptions,
    *,
    given: bool,
    overwrite: bool,
) -> Path:
    """Where to write. Raises InputError where that cannot be, or for a share that is none."""
    if given and out is None:
        raise InputError(Problem("--out", "is missing", "rows of a file are exported to --out"))
    found = out or run_dir / "exports" / format
    check_free(found, _FILES, overwrite)
    if not 0 <= options.test_share < 1:
        remedy = "give a number from 0 up to but not including 1"
        raise InputError(Problem("test share", f"is {options.test_share}", remedy))
    return found


def run_constitution(run_dir: Path) -> Constitution:
    """The constitution as the run used it, from its own copy. Raises InputError."""
    path = run_dir / CONSTITUTION
    remedy = "restore the file, or repeat the run's command to write it again"
    try:
        return validated(read_yaml_file(path).data)
    except (InputError, ValidationError) as error:
        told = str(error).splitlines()[0]
        raise InputError(Problem(str(path), f"is not a constitution ({told})", remedy)) from error


def _mixture(format: ExportFormat, options: ExportOptions, skipped: Counter[str]) -> Mixture | None:
    if options.mix is None:
        return None
    shape = _shape(format, "mix")
    return Mixture(mix_rows(options.mix, shape, skipped), options.mix_ratio)


def _shape(format: ExportFormat, what: str) -> Shape:
    if format.shape is None:
        remedy = "choose trl-sft, trl-preference or trl-prompt"
        raise InputError(Problem(what, f"rows of a file do not become {format}", remedy))
    return format.shape


def _write_rows(directory: Path, rows: Iterator[Row], test_share: float) -> Counter[str]:
    """Rows by split, and how many are truncated; a split without rows has no file."""
    counted: Counter[str] = Counter()
    writers: dict[str, jsonlines.Writer] = {}
    try:
        for row in rows:
            split = "test" if is_held_out(row["prompt"], test_share) else "train"
            if split not in writers:
                writers[split] = jsonlines.open(directory / f"{split}.jsonl", "w", compact=True)
            writers[split].write(row)
            counted[split] += 1
            counted["truncated"] += row.get("truncated", False)
    finally:
        for writer in writers.values():
            writer.close()
    return counted


def _run_rows(
    run_dir: Path,
    manifest: Mapping[str, Any],
    format: ExportFormat,
    options: ExportOptions,
    overrides: Overrides,
    skipped: Counter[str],
) -> Iterator[Row]:
    """Every row of the run, with its `source`; records that give none are counted in `skipped`."""
    if manifest["kind"] == "label":
        yield from _label_rows(run_dir, format, overrides, skipped)
        return
    constitution = run_constitution(run_dir) if format is ExportFormat.LLM_SWARM else None
    for found in read_records(run_dir):
        record = overrides.settled(found, waiting_too=options.include_escalated)
        reason = _reason_to_skip(record, format, options, overrides)
        if constitution and not reason:
            reason = _reason_against_llm_swarm(record, constitution)
        if reason:
            skipped[reason] += 1
        else:
            rows = _rows(record, format, constitution, options.every_revision)
            yield from overrides.applied(rows, skipped)


def _label_rows(
    run_dir: Path, format: ExportFormat, overrides: Overrides, skipped: Counter[str]
) -> Iterator[Row]:
    if format not in (ExportFormat.TRL_PREFERENCE, ExportFormat.TRL_PROMPT):
        remedy = "export trl-preference or trl-prompt, or name a run of `solon revise`"
        raise InputError(Problem(str(run_dir), f"is a label run: it gives no {format}", remedy))
    for record in read_rows(run_dir / "records.jsonl", LabelRecord):
        if format is ExportFormat.TRL_PROMPT:
            yield prompt_row(record.id, record.prompt)
            continue
        rows = list(label_preference_rows(record))
        yield from overrides.applied(rows, skipped)
        if not rows:
            skipped[record.drop_reason or "no_labelled_pair"] += 1


def _rows(
    record: Record, format: ExportFormat, constitution: Constitution | None, every_revision: bool
) -> Iterator[Row]:
    if constitution:
        yield from llm_swarm_rows(record, constitution, every_revision)
    elif format is ExportFormat.TRL_SFT:
        yield from sft_rows(record, every_revision)
    elif format is ExportFormat.TRL_PROMPT:
        yield prompt_row(record.id, record.prompt)
    elif row := preference_row(record):
        yield row


def _reason_to_skip(
    record: Record, format: ExportFormat, options: ExportOptions, overrides: Overrides
) -> str | None:
    if format is ExportFormat.TRL_PROMPT:
        return None
    if record.outcome is Outcome.DROPPED:
        return record.drop_reason or record.outcome
    if withheld := overrides.reason_to_withhold(record):
        return withheld
    if record.outcome is Outcome.UNRESOLVED:
        return record.drop_reason or record.outcome
    for_sft = format is ExportFormat.TRL_SFT
    if format is not ExportFormat.TRL_PREFERENCE and overrides.prefers_first(record):
        return "review_prefers_the_first_answer"
    if record.outcome is Outcome.COMPLIANT:
        return None if for_sft and options.include_compliant else "compliant"
    if format is ExportFormat.TRL_PREFERENCE and record.final == record.answer:
        return "final_equals_first"
    return None


def _reason_against_llm_swarm(record: Record, constitution: Constitution) -> str | None:
    hashes = {principle.id: principle.content_hash for principle in constitution.principles}
    if not record.accepted:
        return "no_accepted_revision"
    same = all(hashes.get(r.principle) == r.principle_hash for r in record.accepted)
    return None if same else "principle_changed"
