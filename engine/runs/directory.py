"""A run's files: what is done, what failed, and a row for everything that finishes.

    manifest.json  constitution.yaml  records.jsonl  failures.jsonl  escalations.jsonl
    completions.sqlite  previous/1/...  report.html

A run revises, labels, answers, writes prompts or attacks; only a revision is ever escalated. Answers are
written once more as rows to train on (`answers.jsonl`), and attacks that succeeded as prompts
(`successes.jsonl`).
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from engine.judging.records import LabelOutcome
from engine.prompts.sources import Prompt
from engine.records import AnswerOutcome, Failure, Outcome, Record
from engine.redteam.records import AttackOutcome
from engine.runs.constitution_copy import CONSTITUTION, keep_constitution
from engine.runs.kept_records import keep_records
from engine.runs.manifest import versions
from engine.runs.output import Mode, OutputDirectory, OutputKind
from engine.storage.atomic import replacing
from engine.storage.completion_cache import CompletionCache
from engine.storage.jsonl import JsonlStore, lines_of
from engine.writing.records import WriteOutcome

__all__ = [
    "ANSWER",
    "ANSWERS",
    "LABEL",
    "PROMPTS",
    "REDTEAM",
    "REVISE",
    "SUCCESSES",
    "Done",
    "RunDirectory",
    "RunKind",
    "RunRecord",
    "check_row",
    "run_facts",
]

ANSWERS = "answers.jsonl"
SUCCESSES = "successes.jsonl"
_FILES = (
    "records.jsonl", "failures.jsonl", "escalations.jsonl", ANSWERS, SUCCESSES,
    CONSTITUTION, "report.html", "exports",
)  # fmt: skip
_RUNS = ("revise", "label", "answer", "prompts", "redteam")
_PROMPTS = "prompts"
_EDITED = ("constitution", _PROMPTS)


@dataclass(frozen=True, slots=True)
class RunKind:
    """What a run's records are: their outcomes, and whether some of them wait for a person."""

    output: OutputKind
    outcomes: tuple[str, ...]
    escalates: bool = False

    @property
    def fields(self) -> dict[str, type]:
        """What every record has, by which it is counted and found again."""
        fields: dict[str, type] = {"id": str, "outcome": str}
        return fields | ({"escalate": bool} if self.escalates else {})


REVISE = RunKind(OutputKind("revise", "run", _FILES, _RUNS, updates=_EDITED), tuple(Outcome), True)
LABEL = RunKind(OutputKind("label", "run", _FILES, _RUNS, updates=_EDITED), tuple(LabelOutcome))
ANSWER = RunKind(
    OutputKind("answer", "run", _FILES, _RUNS, updates=(_PROMPTS,)), tuple(AnswerOutcome)
)
PROMPTS = RunKind(OutputKind("prompts", "run", _FILES, _RUNS, updates=_EDITED), tuple(WriteOutcome))
REDTEAM = RunKind(
    OutputKind("redteam", "run", _FILES, _RUNS, updates=_EDITED), tuple(AttackOutcome)
)


class RunRecord(Protocol):
    """What a run makes of one prompt."""

    @property
    def outcome(self) -> str:
        """One of its kind's outcomes."""

    def model_dump_json(self) -> str:
        """As a line of `records.jsonl`."""


class Done:
    """Ids already finished, 8 bytes each. Two ids collide once in 10^7 runs of a million."""

    def __init__(self, ids: "array[int]") -> None:
        self._ids = array("Q", sorted(ids))

    @staticmethod
    def digest(prompt_id: str) -> int:
        """64 bits of an id."""
        return int.from_bytes(blake2b(prompt_id.encode(), digest_size=8).digest())

    def __contains__(self, prompt_id: str) -> bool:
        digest = self.digest(prompt_id)
        at = bisect_left(self._ids, digest)
        return at < len(self._ids) and self._ids[at] == digest

    def __len__(self) -> int:
        return len(self._ids)


class RunDirectory:
    """One run's rows and counts in an output directory, which it takes for this process.

    An update that changes the prompts alone keeps the records of those of `prompts` that were there
    before, and what the run found out and used. Raises InputError as `OutputDirectory.open` does, and when a file in it is damaged beyond its
    last line.
    """

    def __init__(
        self,
        path: Path,
        kind: RunKind,
        identity: Mapping[str, Any],
        constitution: Constitution | None = None,
        mode: Mode = "resume",
        prompts: Iterable[Prompt] = (),
    ) -> None:
        self.path = path
        self.kind = kind
        self.constitution = constitution
        self.totals: Counter[str] = Counter()
        self.found: dict[str, Any] = {}
        """What the run found out before its first prompt, for the manifest."""
        self.usage: dict[str, float] = {}
        """Of this process and those before it."""
        self.output = OutputDirectory(path, kind.output, identity, mode).open()
        with ExitStack() as opening:
            opening.callback(self.output.close)
            self._open_files(opening, self._kept(prompts))
            self._opened = opening.pop_all()

    @property
    def keeps_records(self) -> bool:
        """Whether it was updated to edited prompts, and by nothing else."""
        return self.output.aside is not None and self.output.changed == (_PROMPTS,)

    def _kept(self, prompts: Iterable[Prompt]) -> dict[str, Any]:
        """What the manifest found says, or as much of the one set aside as still holds."""
        if not self.keeps_records or self.output.aside is None:
            return self.output.found or {}
        name = "records.jsonl"
        keep_records(self.output.aside / name, self.path / name, prompts)
        before = self.output.replaced or {}
        return {key: before[key] for key in ("usage", "calibration") if key in before}

    def _open_files(self, opening: ExitStack, found: Mapping[str, Any]) -> None:
        self.cache = opening.enter_context(CompletionCache(self.path / "completions.sqlite"))
        self.records = opening.enter_context(JsonlStore(self.path / "records.jsonl"))
        self.usage = dict(found.get("usage", {}))
        if "calibration" in found:
            self.found["calibration"] = found["calibration"]
        done = self._read_records()
        lasting = self._drop_failures(every=self.output.mode == "retry-failed")
        done.extend(Done.digest(row["id"]) for row in lasting)
        self.done = Done(done)
        self.failures = opening.enter_context(JsonlStore(self.path / "failures.jsonl"))
        self.escalations = (
            opening.enter_context(JsonlStore(self.path / "escalations.jsonl"))
            if self.kind.escalates
            else None
        )
        totals = found.get("totals", {})
        whole = len(done) == totals.get("records", 0) + totals.get("failed", 0)
        self.complete = bool(found.get("complete")) and whole
        """Whether the manifest found says so, and the rows agree."""
        if found.get("complete") and not whole:
            self.write_manifest("interrupted")

    def _read_records(self) -> "array[int]":
        """Ids of the records there are. Escalations are written again from them, since a kill may
        have come between the two."""
        done = array("Q")
        fields = self.kind.fields | ({"constitution": str} if self.constitution else {})
        path = self.path / "escalations.jsonl"
        with replacing(path) if self.kind.escalates else nullcontext() as escalations:
            for line, row in _rows(self.records, fields):
                self._refuse_foreign(row)
                done.append(Done.digest(row["id"]))
                self.totals[row["outcome"]] += 1
                if escalations and row["escalate"]:
                    escalations.write(line)
                    self.totals["escalated"] += 1
        return done

    def _drop_failures(self, *, every: bool) -> list[dict[str, Any]]:
        """The failures that would fail again; the others, or `every` one, are taken out and tried
        again."""
        path = self.path / "failures.jsonl"
        with JsonlStore(path) as store:
            rows = _rows(store, {"id": str, "retryable": bool})
            lasting = {line: row for line, row in rows if not (every or row["retryable"])}
        with replacing(path) as file:
            file.writelines(lasting)
        self.totals["failed"] = len(lasting)
        return [*lasting.values()]

    def _refuse_foreign(self, row: Mapping[str, Any]) -> None:
        if self.constitution and row["constitution"] != self.constitution.content_hash:
            what = f"holds a record made with another constitution ({row['constitution']})"
            remedy = "restore the run's own files, or name another --out"
            raise InputError(Problem(str(self.records.path), what, remedy))

    # Writing ------------------------------------------------------------------------------------

    def add(self, result: RunRecord | Failure) -> None:
        """Put one finished conversation on disk. Raises StorageFull when the disk is."""
        line = result.model_dump_json()
        if isinstance(result, Failure):
            self.failures.append(line)
            self.totals["failed"] += 1
            return
        self.records.append(line)
        self.records.sync()
        self.totals[result.outcome] += 1
        if self.escalations and isinstance(result, Record) and result.escalate:
            self.escalations.append(line)
            self.totals["escalated"] += 1

    def check_intact(self) -> None:
        """Raise InputError unless the files hold what was written, so that a run whose records were
        deleted under it does not end complete."""
        for store in self._stores():
            store.check_intact()

    def write_manifest(self, status: str) -> None:
        """Write what the run is and where it stands; `complete` when every prompt has its row."""
        for store in self._stores():
            store.sync(now=True)
        facts = run_facts(self.kind, self.output.identity, self.totals, self.usage)
        self.output.write(status, {**facts, **self.found, "versions": versions()})

    def write_constitution(self) -> None:
        """Keep the constitution as it was used, `extends` merged in. Raises StorageFull."""
        if self.constitution is not None:
            keep_constitution(self.path, self.constitution)

    def _stores(self) -> Iterator[JsonlStore]:
        yield from (self.records, self.failures)
        if self.escalations:
            yield self.escalations

    def close(self) -> None:
        """Flush and let go of the directory."""
        self._opened.close()


def run_facts(
    kind: RunKind,
    identity: Mapping[str, Any],
    totals: Mapping[str, int],
    usage: Mapping[str, float],
) -> dict[str, Any]:
    """What a manifest says of a run of this identity, with so many records of each outcome."""
    outcomes = {str(outcome): totals.get(outcome, 0) for outcome in kind.outcomes}
    counts = {"records": sum(outcomes.values()), **outcomes, "failed": totals.get("failed", 0)}
    if kind.escalates:
        counts["escalated"] = totals.get("escalated", 0)
    models = {role: model["spec"] for role, model in identity["models"].items()}
    return {**identity, "models": models, "totals": counts, "usage": usage}


def check_row(where: str, row: Mapping[str, Any], fields: Mapping[str, type]) -> None:
    """Raise InputError unless a row has these fields, of these types."""
    wrong = [name for name, kind in fields.items() if not isinstance(row.get(name), kind)]
    if wrong:
        remedy = "restore the line or delete it: the run then makes it again"
        has = "another kind of" if wrong[0] in row else "no"
        what = f"is not a row of this run: it has {has} `{wrong[0]}`"
        raise InputError(Problem(where, what, remedy))


def _rows(store: JsonlStore, fields: Mapping[str, type]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each row with its line as it stands."""
    for number, (_, line, row) in enumerate(lines_of(store.path), 1):
        check_row(f"{store.path}, row {number}", row, fields)
        yield line, row
