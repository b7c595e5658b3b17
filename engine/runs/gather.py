"""One run of its shards: their rows in one directory, as if one process had written them.

Every row is read once and written as it stands, so memory does not grow with them but for a few
bytes for each of one shard. Files take their places whole, and the manifest calls the run complete last: a gathering that
was killed is begun again.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from constitution.problems import InputError, Problem
from constitution.reading import read_bytes
from engine.prompts.shard import Shard
from engine.runs.answer_run import write_answers
from engine.runs.constitution_copy import CONSTITUTION
from engine.runs.directory import ANSWER, LABEL, REVISE, Done, RunKind, check_row, run_facts
from engine.runs.finished_shards import FinishedShard
from engine.runs.manifest import versions
from engine.runs.output import Mode, OutputDirectory
from engine.storage.atomic import DirectoryLock, replacing
from engine.storage.jsonl import lines_of

__all__ = ["Gathered", "gather_run"]

_KINDS = {kind.output.name: kind for kind in (REVISE, LABEL, ANSWER)}
_CALIBRATION = "calibration"
_FOUND = (_CALIBRATION, "checked", "replaced_values")
"""What each shard found out for itself before its first prompt."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A run that was made of shards. `before`: it was complete already, and nothing was done."""

    path: Path
    totals: Mapping[str, int]
    before: bool = False


@dataclass(slots=True)
class _Rows:
    """The files of the run, and what was written to them."""

    records: IO[bytes]
    failures: IO[bytes]
    escalations: IO[bytes] | None
    totals: Counter[str] = field(default_factory=Counter)
    ids: "array[int]" = field(default_factory=lambda: array("Q"))
    """Of the rows of one shard."""
    count: int = 0


def gather_run(out: Path, shards: Sequence[FinishedShard], mode: Mode = "resume") -> Gathered:
    """Make one run of all `shards` in `out`.

    Raises InputError where `out` holds another run, or an unfinished one of its own, unless `mode`
    says what becomes of it; where a process writes to `out` or to a shard; and where a shard's rows
    are not what its manifest says. Raises StorageFull when the disk is.
    """
    first = shards[0]
    kind = _KINDS[first.kind]
    with ExitStack() as stack:
        output = OutputDirectory(out, kind.output, first.whole_identity, mode, gathering=True)
        stack.enter_context(output)
        for shard in shards:
            stack.enter_context(DirectoryLock(shard.path))
        if output.found and not output.found.get("gathering"):
            return _there_already(out, output.found)
        output.write("interrupted")
        totals = _gather_rows(out, kind, shards)
        if kind is ANSWER:
            write_answers(out)
        if "constitution" in first.identity:
            with replacing(out / CONSTITUTION) as file:
                file.write(read_bytes(first.path / CONSTITUTION))
        facts = run_facts(kind, output.identity, totals, _usage(shards))
        facts |= _found(shards)
        facts |= {"shards": len(shards), "versions": versions()}
        output.write("complete", facts)
    return Gathered(out, facts["totals"])


def _found(shards: Sequence[FinishedShard]) -> dict[str, Any]:
    """What the first found out; of the calibrations the one whose judge tells answers apart least,
    since a shard's rows are no better than its judge."""
    first = shards[0].manifest
    found = {name: first[name] for name in _FOUND if name in first}
    made = [one.manifest[_CALIBRATION] for one in shards if one.manifest.get(_CALIBRATION)]
    if made:
        found[_CALIBRATION] = min(made, key=lambda calibration: calibration.get("auc", 0.0))
    return found


def _usage(shards: Sequence[FinishedShard]) -> dict[str, float]:
    """Requests, tokens and seconds of all of them together."""
    used: dict[str, float] = {}
    for shard in shards:
        for name, amount in shard.manifest.get("usage", {}).items():
            used[name] = used.get(name, 0) + amount
    return used


def _there_already(out: Path, found: Mapping[str, Any]) -> Gathered:
    if not found.get("complete"):
        what = "holds an unfinished run of its own"
        remedy = "resume that one, or replace it by its shards with --overwrite"
        raise InputError(Problem(str(out), what, remedy))
    return Gathered(out, found.get("totals", {}), before=True)


def _gather_rows(out: Path, kind: RunKind, shards: Sequence[FinishedShard]) -> Counter[str]:
    """Write the rows of all shards, and count them."""
    with ExitStack() as files:
        rows = _Rows(
            files.enter_context(replacing(out / "records.jsonl")),
            files.enter_context(replacing(out / "failures.jsonl")),
            files.enter_context(replacing(out / "escalations.jsonl")) if kind.escalates else None,
        )
        for shard in shards:
            _gather_records(shard, kind, rows)
            _gather_failures(shard, rows)
            _check_ids(shard, rows)
        if rows.count != (prompts := shards[0].identity["prompts"]["count"]):
            what = f"the shards hold {rows.count:,} rows of {prompts:,} prompts"
            raise InputError(Problem(str(out), what, "run each shard's command again"))
    return rows.totals


def _gather_records(shard: FinishedShard, kind: RunKind, rows: _Rows) -> None:
    rules = shard.identity.get("constitution", {}).get("hash")
    fields = kind.fields | ({"constitution": str} if rules else {})
    found = escalated = 0
    for line, row in _checked(shard.path / "records.jsonl", shard.shard, fields, rows.ids):
        if rules and row["constitution"] != rules:
            what = f"holds a record made with another constitution ({row['constitution']})"
            raise InputError(Problem(str(shard.path), what, "restore the run's own files"))
        rows.records.write(line)
        rows.totals[row["outcome"]] += 1
        found += 1
        if rows.escalations and row["escalate"]:
            rows.escalations.write(line)
            escalated += 1
    rows.totals["escalated"] += escalated
    _refuse_other_count(shard, "records", found)


def _gather_failures(shard: FinishedShard, rows: _Rows) -> None:
    before = rows.totals["failed"]
    fields = {"id": str, "retryable": bool}
    for line, _ in _checked(shard.path / "failures.jsonl", shard.shard, fields, rows.ids):
        rows.failures.write(line)
        rows.totals["failed"] += 1
    _refuse_other_count(shard, "failed", rows.totals["failed"] - before)


def _checked(
    path: Path, shard: Shard, fields: Mapping[str, type], ids: "array[int]"
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The rows of a file as they stand, each of which must belong to the shard; notes their ids."""
    for number, line, row in lines_of(path):
        where = f"{path}:{number}"
        check_row(where, row, fields)
        if not shard.holds(row["id"]):
            what = f"the id {row['id']!r} is not one of shard {shard}"
            raise InputError(Problem(where, what, "delete the line: the shard then makes its own"))
        ids.append(Done.digest(row["id"]))
        yield line, row


def _refuse_other_count(shard: FinishedShard, what: str, found: int) -> None:
    told = shard.manifest.get("totals", {}).get(what, 0)
    if found != told:
        problem = f"holds {found:,} {what} where its manifest says {told:,}"
        raise InputError(Problem(str(shard.path), problem, shard.remedy))


def _check_ids(shard: FinishedShard, rows: _Rows) -> None:
    """No prompt of a shard has two rows; in another shard it cannot have one."""
    ordered = array("Q", sorted(rows.ids))
    if twice := sum(a == b for a, b in zip(ordered, islice(ordered, 1, None), strict=False)):
        raise InputError(Problem(str(shard.path), f"holds {twice:,} rows twice", shard.remedy))
    rows.count += len(ordered)
    del rows.ids[:]
