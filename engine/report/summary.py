"""A run in numbers, counted in one pass and in memory that does not grow with its records."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.records import DropReason, Flag, Outcome, Record, Verdict
from engine.report.run_files import (
    PrincipleText,
    read_failures,
    read_principle_texts,
    read_records,
)
from engine.runs.manifest import run_manifest

__all__ = ["FailureKind", "PrincipleSummary", "RunSummary", "Spent", "summarize"]


@dataclass(frozen=True, slots=True)
class FailureKind:
    """Which role was asked when a conversation failed, and why it failed."""

    stage: str
    reason: str


@dataclass(frozen=True, slots=True)
class PrincipleSummary:
    """The outcome of the answers judged against one principle."""

    id: str
    text: PrincipleText
    drawn: int = 0
    skipped: int = 0
    """Found compliant beforehand, so nothing was asked."""
    revised: int = 0
    dropped: int = 0
    checked: int = 0
    """Final answers that the judge was asked about."""
    violated: int = 0
    undecided: int = 0
    undone: int = 0
    mean_probability: float | None = None
    """That a final answer breaks it, over the verdicts that the judge could give."""

    @property
    def revision_yield(self) -> float | None:
        """Share of the answers critiqued that a usable revision came of."""
        return _share(self.revised, self.drawn - self.skipped)


@dataclass(frozen=True, slots=True)
class Spent:
    """Requests, tokens and seconds of the whole run, over all its resumptions."""

    generated_requests: int = 0
    cached_requests: int = 0
    """Re-used from the completion cache."""
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    """Served by a KV cache."""
    completion_tokens: int = 0
    seconds: float = 0.0

    @property
    def cached_share(self) -> float | None:
        """Share of the requests that the completion cache answered."""
        return _share(self.cached_requests, self.cached_requests + self.generated_requests)

    @property
    def prefix_share(self) -> float | None:
        """Share of the prompt tokens that a KV cache served."""
        return _share(self.cached_prompt_tokens, self.prompt_tokens)

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens per second."""
        return _share(self.completion_tokens, self.seconds)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run in numbers. `manifest` is the run's own account of how it was made."""

    name: str
    manifest: Mapping[str, Any]
    records: int
    outcomes: Mapping[Outcome, int]
    failed: int
    escalated: int
    unresolved: int
    """Records whose final answer still breaks a principle, or whose judge could not decide."""
    principles: tuple[PrincipleSummary, ...]
    drop_reasons: Mapping[DropReason, int]
    failure_kinds: Mapping[FailureKind, int]
    flags: Mapping[Flag, int]
    """Records that carry each flag."""
    spent: Spent

    @property
    def complete(self) -> bool:
        """Whether every prompt was seen to; an interrupted run can be resumed."""
        return bool(self.manifest.get("complete"))

    @property
    def prompts(self) -> int:
        """How many prompts there are to answer, as far as is known."""
        count = _mapping(self.manifest, "prompts").get("count")
        return count if isinstance(count, int) else self.records + self.failed

    @property
    def models(self) -> Mapping[str, str]:
        """Role to generator spec."""
        models = _mapping(self.manifest, "models")
        return {str(role): _spec(model) for role, model in models.items()}

    @property
    def constitution(self) -> Mapping[str, Any]:
        """Its `name`, `version` and `hash`, as far as the manifest has them."""
        return _mapping(self.manifest, "constitution")

    @property
    def revision_yield(self) -> float | None:
        """Share of the answers not compliant to begin with that a usable revision came of."""
        revised = self.outcomes.get(Outcome.REVISED, 0)
        return _share(revised, revised + self.outcomes.get(Outcome.DROPPED, 0))


def summarize(run_dir: Path, each: Callable[[Record], object] | None = None) -> RunSummary:
    """Count the run in `run_dir`, giving every record to `each` on the way.

    A failure whose prompt was answered on a later attempt is no longer one. Raises InputError if
    the directory is not a run, or if a line of it is not what it should be.
    """
    manifest = run_manifest(run_dir, "revise")
    failures = {f.id: FailureKind(f.stage, f.reason) for f in read_failures(run_dir)}
    tally = _Tally()
    for record in read_records(run_dir):
        failures.pop(record.id, None)
        tally.add(record)
        if each:
            each(record)
    return RunSummary(
        name=run_dir.resolve().name,
        manifest=manifest,
        records=tally.outcomes.total(),
        outcomes=tally.outcomes,
        failed=len(failures),
        escalated=tally.escalated,
        unresolved=tally.unresolved,
        principles=tally.principle_summaries(read_principle_texts(run_dir)),
        drop_reasons=tally.drop_reasons,
        failure_kinds=Counter(failures.values()),
        flags=tally.flags,
        spent=_spent(_mapping(manifest, "usage")),
    )


@dataclass(slots=True)
class _PrincipleTally:
    counts: Counter[str] = field(default_factory=Counter)
    probability: float = 0.0


@dataclass(slots=True)
class _Tally:
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    drop_reasons: Counter[DropReason] = field(default_factory=Counter)
    flags: Counter[Flag] = field(default_factory=Counter)
    escalated: int = 0
    unresolved: int = 0
    principles: dict[str, _PrincipleTally] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.outcomes[record.outcome] += 1
        if record.drop_reason:
            self.drop_reasons[record.drop_reason] += 1
        self.flags.update({*record.answer_flags, *(f for r in record.rounds for f in r.flags)})
        self.escalated += record.escalate
        self.unresolved += bool(record.unresolved)
        for round in record.rounds:
            counts = self._principle(round.principle).counts
            counts["drawn"] += 1
            skipped = round.critique is None and not round.dropped
            key = "skipped" if skipped else "dropped" if round.dropped else "revised"
            counts[key] += 1
        for verdict in record.final_verdicts:
            self._add_verdict(verdict)
        for principle in record.undone:
            self._principle(principle).counts["undone"] += 1

    def _add_verdict(self, verdict: Verdict) -> None:
        tally = self._principle(verdict.principle)
        tally.counts["checked"] += 1
        tally.counts["violated"] += verdict.violates is True
        tally.counts["undecided"] += verdict.violates is None
        if verdict.violates is not None and verdict.probability is not None:
            tally.counts["weighed"] += 1
            tally.probability += verdict.probability

    def _principle(self, principle: str) -> _PrincipleTally:
        return self.principles.setdefault(principle, _PrincipleTally())

    def principle_summaries(
        self, texts: Mapping[str, PrincipleText]
    ) -> tuple[PrincipleSummary, ...]:
        """One for each principle of the constitution, in its order, then any others met."""
        ids = [*texts, *sorted(self.principles.keys() - texts.keys())]
        return tuple(self._summary(id, texts.get(id, PrincipleText())) for id in ids)

    def _summary(self, id: str, text: PrincipleText) -> PrincipleSummary:
        tally = self.principles.get(id, _PrincipleTally())
        counts = Counter(tally.counts)
        mean = _share(tally.probability, counts.pop("weighed", 0))
        return PrincipleSummary(id, text, **counts, mean_probability=mean)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _spec(model: object) -> str:
    return str(model.get("spec", "")) if isinstance(model, Mapping) else str(model)


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def _spent(usage: Mapping[str, Any]) -> Spent:
    names = (spent.name for spent in fields(Spent))
    known = {name: usage[name] for name in names if isinstance(usage.get(name), int | float)}
    return Spent(**known)
