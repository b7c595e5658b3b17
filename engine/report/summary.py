"""A run in numbers, counted in one pass and in memory that does not grow with its records."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from constitution.problems import InputError
from constitution.typed_yaml import read_yaml_file
from engine.judging.records import LabelRecord
from engine.record_files import read_failures, read_records
from engine.records import DropReason, Flag, Outcome, Record, Verdict
from engine.runs.constitution_copy import CONSTITUTION
from engine.runs.manifest import run_manifest
from engine.storage.cached_generator import CallCounts

__all__ = [
    "FailureKind",
    "PrincipleSummary",
    "PrincipleText",
    "RunSummary",
    "count_records",
    "read_principle_texts",
    "summarize",
]

Counted = TypeVar("Counted", Record, LabelRecord)


@dataclass(frozen=True, slots=True)
class FailureKind:
    """Which role was asked when a conversation failed, and why it failed."""

    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class PrincipleText:
    """What a report says of a principle."""

    statement: str = ""
    severity: str = ""
    exact: bool = False
    """A check alone decides it."""


@dataclass(slots=True)
class PrincipleSummary:
    """The outcome of the answers held against one principle."""

    id: str
    text: PrincipleText
    screened: int = 0
    """First answers that there is a verdict on."""
    broken_at_first: int = 0
    criticised: int = 0
    revised: int = 0
    dropped: int = 0
    """Revisions under it that did not become the answer."""
    checked: int = 0
    """Final answers that there is a verdict on."""
    violated: int = 0
    """Of the final answers."""
    undecided: int = 0
    """Of the final answers: the judge gave no verdict."""
    undone: int = 0
    _weighed: int = 0
    _probability: float = 0.0

    @property
    def revision_yield(self) -> float | None:
        """Share of the answers critiqued that a usable revision came of."""
        return _share(self.revised, self.criticised)

    @property
    def mean_probability(self) -> float | None:
        """That a final answer breaks it, over the verdicts that the judge could give."""
        return _share(self._probability, self._weighed)

    def add(self, verdict: Verdict) -> None:
        """Count a verdict on a final answer."""
        self.checked += 1
        self.violated += verdict.violates is True
        self.undecided += verdict.violates is None
        if verdict.violates is not None and verdict.probability is not None:
            self._weighed += 1
            self._probability += verdict.probability


@dataclass(slots=True)
class RunSummary:
    """A run in numbers. `manifest` is the run's own account of how it was made, `texts` the words
    of its constitution's principles."""

    name: str
    manifest: Mapping[str, Any]
    texts: Mapping[str, PrincipleText]
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    escalated: int = 0
    unresolved: int = 0
    """Records whose final answer still breaks a principle, or whose judge could not decide."""
    drop_reasons: Counter[DropReason] = field(default_factory=Counter)
    """Why prompts without a usable answer have none, by the last reason in each record."""
    refused: Counter[DropReason] = field(default_factory=Counter)
    """Why critiques led to no revision that was kept, over all rounds, or prompts to no critique."""
    failure_kinds: Counter[FailureKind] = field(default_factory=Counter)
    flags: Counter[Flag] = field(default_factory=Counter)
    """Records that carry each flag."""
    _principles: dict[str, PrincipleSummary] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every prompt was seen to; an interrupted run can be resumed."""
        return bool(self.manifest.get("complete"))

    @property
    def records(self) -> int:
        """How many prompts have a record."""
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        """How many prompts failed and have no record."""
        return self.failure_kinds.total()

    @property
    def prompts(self) -> int:
        """How many prompts there are to answer, as far as is known."""
        count = self.manifest.get("prompts", {}).get("count")
        return count if isinstance(count, int) else self.records + self.failed

    @property
    def principles(self) -> tuple[PrincipleSummary, ...]:
        """One for each principle of the constitution, in its order, then any others met."""
        others = sorted(self._principles.keys() - self.texts.keys())
        return tuple(self._principle(id) for id in (*self.texts, *others))

    @property
    def models(self) -> Mapping[str, str]:
        """Role to generator spec."""
        return dict(self.manifest.get("models", {}))

    @property
    def constitution(self) -> Mapping[str, Any]:
        """Its `name`, `version` and `hash`, as far as the manifest has them."""
        return dict(self.manifest.get("constitution", {}))

    @property
    def calibration(self) -> Mapping[str, Any]:
        """What the constitution's own tests said of the judge; empty where it decided nothing."""
        return dict(self.manifest.get("calibration", {}))

    @property
    def spent(self) -> CallCounts:
        """Requests and tokens of the whole run, over all its resumptions, as the manifest says."""
        usage = self.manifest.get("usage", {})
        return CallCounts(**{of.name: int(usage.get(of.name, 0)) for of in fields(CallCounts)})

    @property
    def seconds(self) -> float:
        """That the run took, over all its resumptions."""
        return float(self.manifest.get("usage", {}).get("seconds", 0.0))

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens per second."""
        return _share(self.spent.completion_tokens, self.seconds)

    @property
    def revision_yield(self) -> float | None:
        """Share of the answers not compliant to begin with that a usable revision came of."""
        revised = self.outcomes[Outcome.REVISED]
        return _share(revised, self.records - self.outcomes[Outcome.COMPLIANT])

    @property
    def screened(self) -> bool:
        """Whether first answers were judged, so that before and after can be compared."""
        return any(principle.screened for principle in self._principles.values())

    @property
    def broken_at_first(self) -> float | None:
        """Share of the verdicts on first answers that find a principle broken."""
        told = self._principles.values()
        return _share(sum(p.broken_at_first for p in told), sum(p.screened for p in told))

    @property
    def broken_at_last(self) -> float | None:
        """Share of the verdicts on final answers that find a principle broken."""
        told = self._principles.values()
        return _share(sum(p.violated for p in told), sum(p.checked for p in told))

    def add(self, record: Record) -> None:
        """Count one record."""
        self.outcomes[record.outcome] += 1
        if record.drop_reason:
            self.drop_reasons[record.drop_reason] += 1
        self.flags.update({*record.answer_flags, *(f for r in record.rounds for f in r.flags)})
        self.escalated += record.escalate
        self.unresolved += bool(record.unresolved)
        if record.drop_reason and not record.rounds:
            self.refused[record.drop_reason] += 1
        for verdict in record.first_verdicts:
            principle = self._principle(verdict.principle)
            principle.screened += 1
            principle.broken_at_first += verdict.violates is True
        for round in record.rounds:
            principle = self._principle(round.principle)
            principle.criticised += 1
            principle.revised += round.accepted
            principle.dropped += not round.accepted
            if round.dropped:
                self.refused[round.dropped] += 1
        for verdict in record.final_verdicts:
            self._principle(verdict.principle).add(verdict)
        for id in record.undone:
            self._principle(id).undone += 1

    def _principle(self, id: str) -> PrincipleSummary:
        text = self.texts.get(id, PrincipleText())
        return self._principles.setdefault(id, PrincipleSummary(id, text))


def summarize(run_dir: Path, each: Callable[[Record], object] | None = None) -> RunSummary:
    """Count the run in `run_dir`, giving every record to `each` on the way.

    A failure whose prompt was answered on a later attempt is no longer one. Raises InputError if
    the directory is not a run, or if a line of it is not what it should be.
    """
    manifest = run_manifest(run_dir, "revise")
    summary = RunSummary(run_dir.resolve().name, manifest, read_principle_texts(run_dir))

    def add(record: Record) -> None:
        summary.add(record)
        if each:
            each(record)

    summary.failure_kinds = count_records(run_dir, read_records(run_dir), add)
    return summary


def count_records(
    run_dir: Path, records: Iterable[Counted], add: Callable[[Counted], object]
) -> Counter[FailureKind]:
    """Give every record to `add`; the kinds of the failures whose prompt has no record."""
    failures = {f.id: FailureKind(f.stage, f.reason) for f in read_failures(run_dir)}
    for record in records:
        failures.pop(record.id, None)
        add(record)
    return Counter(failures.values())


def read_principle_texts(run_dir: Path) -> dict[str, PrincipleText]:
    """Principle id to its words, from the run's copy of the constitution.

    A report only decorates its numbers with them, so a copy that is missing or that another
    version wrote costs the words and not the report.
    """
    path = run_dir / CONSTITUTION
    try:
        document = read_yaml_file(path).data
    except InputError:
        return {}
    principles = document.get("principles") if isinstance(document, dict) else None
    listed = principles if isinstance(principles, list) else ()
    found = [item for item in listed if isinstance(item, dict) and "id" in item]
    return {str(item["id"]): _principle_text(item) for item in found}


def _principle_text(item: Mapping[str, Any]) -> PrincipleText:
    exact = bool(item.get("check")) and not item.get("judged")
    return PrincipleText(str(item.get("statement", "")), str(item.get("severity", "medium")), exact)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
