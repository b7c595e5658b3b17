"""Records of a run as rows that TRL trains on, and as files.

Rows have TRL's conversational shapes: `prompt` and `completion` for SFT, `prompt`, `chosen` and
`rejected` for preferences, each a list of messages, and columns that say where a row comes from.
Every column has one type and is never null, as loading JSON in blocks demands.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import jsonlines
import yaml
from pydantic import ValidationError

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from engine.messages import to_dicts
from engine.records import Outcome, Record, Round
from engine.rendering import critique_request, revision_request
from engine.report.run_files import read_manifest, read_records

__all__ = [
    "ExportFormat",
    "ExportResult",
    "Row",
    "export_run",
    "llm_swarm_rows",
    "preference_row",
    "run_constitution",
    "sft_rows",
]

Row = dict[str, Any]


class ExportFormat(StrEnum):
    """What a file of rows is for."""

    TRL_SFT = "trl-sft"
    TRL_PREFERENCE = "trl-preference"
    LLM_SWARM = "llm-swarm"
    """The columns of Hugging Face's `cai-conversation` datasets, one critique to a row."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written; `skipped` counts the records that gave no row, by reason."""

    path: Path
    rows: int
    skipped: Mapping[str, int]


def sft_rows(
    record: Record, every_revision: bool = False, include_compliant: bool = True
) -> Iterator[Row]:
    """The final revision, or each accepted one in turn (Bai et al. 2022, section 3.1).

    An answer that was compliant as it stood is a row too: to train only where the policy was at
    fault would teach it that every prompt calls for a correction.
    """
    if record.outcome is Outcome.COMPLIANT and include_compliant:
        yield _sft_row(record, record.final, record.rounds, revisions=0)
    if record.outcome is not Outcome.REVISED:
        return
    accepted = _accepted(record)
    first = 1 if every_revision else len(accepted)
    for count in range(first, len(accepted) + 1):
        done = accepted[:count]
        yield _sft_row(record, done[-1].revision or "", done, revisions=count)


def preference_row(record: Record) -> Row | None:
    """The final answer over the first; None where the one is not a revision of the other."""
    if record.outcome is not Outcome.REVISED or record.final == record.answer:
        return None
    return {
        "prompt": to_dicts(record.prompt),
        "chosen": [_assistant(record.final)],
        "rejected": [_assistant(record.answer)],
        **_provenance(record, _accepted(record)),
    }


def llm_swarm_rows(
    record: Record, constitution: Constitution, every_revision: bool = False
) -> Iterator[Row]:
    """The last accepted critique and revision, or each of them.

    `init_response` is the answer that was criticised; with several rounds it is an earlier
    revision, while `rejected` always ends with the first answer. `prompt` and `init_prompt` are
    the last user turn; `messages`, `chosen` and `rejected` hold the turns before it too.
    """
    if record.outcome is not Outcome.REVISED:
        return
    accepted = _accepted(record)
    answers = [record.answer, *(round.revision or "" for round in accepted)]
    for index in range(0 if every_revision else len(accepted) - 1, len(accepted)):
        yield _llm_swarm_row(record, constitution, accepted[index], answers[index])


def export_run(
    run_dir: Path,
    format: ExportFormat,
    out: Path,
    *,
    every_revision: bool = False,
    include_compliant: bool = True,
    include_escalated: bool = False,
    overwrite: bool = False,
) -> ExportResult:
    """Write the rows of a run to `out` as JSON lines, whole or not at all.

    Escalated records wait for a person and are left out unless asked for. Raises InputError if
    `run_dir` is not a run, or if `out` exists and is not to be overwritten.
    """
    read_manifest(run_dir)
    if out.exists() and not overwrite:
        remedy = "name another file, or allow overwriting with --overwrite"
        raise InputError(Problem(str(out), "exists already", remedy))
    constitution = run_constitution(run_dir) if format is ExportFormat.LLM_SWARM else None
    skipped: Counter[str] = Counter()

    def rows() -> Iterator[Row]:
        for record in read_records(run_dir):
            reason = _reason_to_skip(record, format, include_compliant, include_escalated)
            if constitution and not reason and not _same_principles(record, constitution):
                reason = "principle_changed"
            if reason:
                skipped[reason] += 1
            else:
                yield from _rows(record, format, constitution, every_revision)

    return ExportResult(out, _write_whole(out, rows()), dict(skipped))


def _write_whole(out: Path, rows: Iterator[Row]) -> int:
    """Write every row, then give the file its name; how many there were."""
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"{out.name}.{os.getpid()}.part")
    count = 0
    try:
        with jsonlines.open(unfinished, "w", compact=True) as lines:
            for row in rows:
                lines.write(row)
                count += 1
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def run_constitution(run_dir: Path) -> Constitution:
    """The constitution as the run used it, from its own copy. Raises InputError."""
    path = run_dir / "constitution.yaml"
    remedy = "restore the file, or repeat the run's command to write it again"
    if not path.is_file():
        raise InputError(Problem(str(path), "is missing", remedy))
    try:
        document = yaml.safe_load(path.read_bytes())
        return Constitution.model_validate_json(json.dumps(document))
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        told = str(error).splitlines()[0]
        raise InputError(Problem(str(path), f"is not a constitution ({told})", remedy)) from error


def _rows(
    record: Record, format: ExportFormat, constitution: Constitution | None, every_revision: bool
) -> Iterator[Row]:
    if constitution:
        yield from llm_swarm_rows(record, constitution, every_revision)
    elif format is ExportFormat.TRL_SFT:
        yield from sft_rows(record, every_revision)
    elif row := preference_row(record):
        yield row


def _reason_to_skip(
    record: Record, format: ExportFormat, include_compliant: bool, include_escalated: bool
) -> str | None:
    if record.outcome is Outcome.DROPPED:
        return record.drop_reason or "dropped"
    if record.escalate and not include_escalated:
        return "escalated"
    for_sft = format is ExportFormat.TRL_SFT
    if record.outcome is Outcome.COMPLIANT:
        return None if for_sft and include_compliant else "compliant"
    if format is ExportFormat.TRL_PREFERENCE and record.final == record.answer:
        return "final_equals_first"
    return None


def _accepted(record: Record) -> tuple[Round, ...]:
    return tuple(r for r in record.rounds if r.revision is not None and r.dropped is None)


def _same_principles(record: Record, constitution: Constitution) -> bool:
    hashes = {principle.id: principle.content_hash for principle in constitution.principles}
    return all(hashes.get(r.principle) == r.principle_hash for r in _accepted(record))


def _sft_row(record: Record, answer: str, rounds: tuple[Round, ...], revisions: int) -> Row:
    return {
        "prompt": to_dicts(record.prompt),
        "completion": [_assistant(answer)],
        **_provenance(record, rounds),
        "revisions": revisions,
    }


def _llm_swarm_row(
    record: Record, constitution: Constitution, round: Round, criticised: str
) -> Row:
    principle = constitution.principle(round.principle)
    asked = record.prompt[-1].content
    revised = [*to_dicts(record.prompt), _assistant(round.revision or "")]
    return {
        "id": record.id,
        "init_prompt": asked,
        "init_response": criticised,
        "critic_prompt": critique_request(constitution, principle),
        "critic_response": round.critique or "",
        "revision_prompt": revision_request(constitution, principle),
        "revision_response": round.revision or "",
        "prompt": asked,
        "messages": revised,
        "chosen": revised,
        "rejected": [*to_dicts(record.prompt), _assistant(record.answer)],
    }


def _provenance(record: Record, rounds: tuple[Round, ...]) -> Row:
    """Whose answer it is, what it was held against, and how much of that it is not known to keep:
    `unresolved` counts principles that the final answer breaks or that the judge left undecided."""
    return {
        "id": record.id,
        "constitution": record.constitution,
        "principles": [round.principle for round in rounds],
        "principle_hashes": [round.principle_hash for round in rounds],
        "model": record.models.get("policy", ""),
        "unresolved": len(record.unresolved),
    }


def _assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}
