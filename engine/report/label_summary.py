"""A label run in numbers, counted in one pass and in memory that does not grow with its records."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constitution.problems import Problem
from engine.judging.records import (
    LabelDropReason,
    LabelledPair,
    LabelOutcome,
    LabelRecord,
    Undecided,
)
from engine.record_files import read_rows
from engine.records import AnswerDrop
from engine.report.summary import FailureKind, count_records, read_principle_texts
from engine.report.wording import reason_counts
from engine.runs.manifest import run_manifest

__all__ = ["CONFIDENT", "LabelSummary", "PrincipleLabels", "no_labels", "summarize_labels"]

CONFIDENT = 0.8
"""Probability of the chosen answer from which a label counts as confident."""


@dataclass(slots=True)
class PrincipleLabels:
    """What became of the pairs that one principle was drawn for."""

    drawn: int = 0
    undecided: int = 0
    """Pairs on which the judge gave no preference under it."""
    labelled: int = 0
    confident: int = 0
    """Labelled pairs on which its own preference is at least `CONFIDENT`."""


@dataclass(slots=True)
class LabelSummary:
    """A label run in numbers. `manifest` is the run's own account of how it was made."""

    name: str
    manifest: Mapping[str, Any]
    outcomes: Counter[LabelOutcome] = field(default_factory=Counter)
    drop_reasons: Counter[LabelDropReason] = field(default_factory=Counter)
    failure_kinds: Counter[FailureKind] = field(default_factory=Counter)
    answers: int = 0
    answer_drops: Counter[AnswerDrop] = field(default_factory=Counter)
    pairs: int = 0
    undecided: Counter[Undecided] = field(default_factory=Counter)
    """Pairs without a label, by reason."""
    confident: int = 0
    """Labels with which the judge gives the chosen answer at least `CONFIDENT`."""
    principles: dict[str, PrincipleLabels] = field(default_factory=dict)
    _bias: float = 0.0
    _judged: int = 0

    @property
    def complete(self) -> bool:
        """Whether every prompt was seen to; an interrupted run can be resumed."""
        return bool(self.manifest.get("complete"))

    @property
    def prompts(self) -> int:
        """How many prompts are in the run so far, failures included."""
        return self.outcomes.total() + self.failure_kinds.total()

    @property
    def labelled(self) -> int:
        """Pairs that have a label."""
        return self.pairs - self.undecided.total()

    @property
    def position_bias(self) -> float | None:
        """Mean over the pairs the judge could decide, ties included; None when it was not asked to
        compare two replies at once."""
        return self._bias / self._judged if self._judged else None

    def add(self, record: LabelRecord) -> None:
        """Count one record."""
        self.outcomes[record.outcome] += 1
        if record.drop_reason:
            self.drop_reasons[record.drop_reason] += 1
        self.answers += len(record.samples)
        self.answer_drops.update(s.dropped for s in record.samples if s.dropped)
        for pair in record.pairs:
            self._add_pair(pair)

    def _add_pair(self, pair: LabelledPair) -> None:
        self.pairs += 1
        if pair.dropped:
            self.undecided[pair.dropped] += 1
        elif pair.probability is not None:
            self.confident += _is_confident(pair.probability)
        if pair.probability is not None and pair.preferences[0].method == "pairwise":
            self._bias += pair.position_bias
            self._judged += 1
        for preference in pair.preferences:
            counts = self.principles.setdefault(preference.principle, PrincipleLabels())
            counts.drawn += 1
            if preference.probability is None:
                counts.undecided += 1
            elif not pair.dropped:
                counts.labelled += 1
                counts.confident += _is_confident(preference.probability)


def summarize_labels(run_dir: Path) -> LabelSummary:
    """Count the label run in `run_dir`. Raises InputError if it is none, or if a line of it is not
    what it should be."""
    summary = LabelSummary(run_dir.resolve().name, run_manifest(run_dir, "label"))
    summary.principles = {name: PrincipleLabels() for name in read_principle_texts(run_dir)}
    records = read_rows(run_dir / "records.jsonl", LabelRecord)
    summary.failure_kinds = count_records(run_dir, records, summary.add)
    return summary


def _is_confident(probability: float) -> bool:
    return max(probability, 1 - probability) >= CONFIDENT


def no_labels(out: Path, summary: LabelSummary) -> Problem:
    """What to say of a run in which no pair has a label, and what to try."""
    if not summary.pairs:
        remedy = "raise --samples or --temperature, or see whether a principle applies"
        told = ""
        if cut := summary.answer_drops[AnswerDrop.TRUNCATED]:
            told = f": {cut:,} of {summary.answers:,} answers ran into the token limit"
            remedy = "raise --max-tokens, or add --keep-truncated"
        return Problem(str(out), f"has no pair of answers to compare{told}", remedy)
    remedy = (
        "try another --method or --judge; `solon judge calibrate FILE --judge SPEC` says whether "
        "a judge is better than chance"
    )
    reasons = reason_counts(summary.undecided)
    return Problem(str(out), f"none of {summary.pairs:,} pairs has a label ({reasons})", remedy)
