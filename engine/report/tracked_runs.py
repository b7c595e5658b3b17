"""The figures and samples of runs that revise and label, as a tracker gets them."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from engine.judging.records import LabelRecord
from engine.record_files import read_rows
from engine.records import Record
from engine.report.label_summary import summarize_labels
from engine.report.sample import ConversationSample
from engine.report.summary import summarize
from engine.report.tracking import Tracked

__all__ = ["tracked_labels", "tracked_revisions"]

_SAMPLES = 50


def tracked_revisions(run_dir: Path) -> Tracked:
    """Of a run that revised: totals, yield, what is broken at first and at last, by principle too."""
    sample = ConversationSample(_SAMPLES, 0)
    summary = summarize(run_dir, sample.add)
    figures: dict[str, float | None] = {
        "prompts": summary.prompts,
        "failed": summary.failed,
        "unresolved": summary.unresolved,
        "escalated": summary.escalated,
        "revision_yield": summary.revision_yield,
        "broken_at_first": summary.broken_at_first,
        "broken_at_last": summary.broken_at_last,
        "completion_tokens": summary.spent.completion_tokens,
        "tokens_per_second": summary.tokens_per_second,
        "seconds": summary.seconds,
    }
    figures |= {f"outcomes/{outcome}": count for outcome, count in summary.outcomes.items()}
    for principle in summary.principles:
        if principle.checked:
            figures[f"violations/{principle.id}"] = principle.violated / principle.checked
    rows = [_row(record) for record in sample.records()]
    columns = ("id", "prompt", "answer", "final", "outcome", "unresolved")
    return Tracked(summary.name, _settings(summary.manifest), figures, columns, rows)


def _row(record: Record) -> tuple[str, ...]:
    said, unresolved = record.prompt[-1].content, ", ".join(record.unresolved)
    return record.id, said, record.answer, record.final, str(record.outcome), unresolved


def tracked_labels(run_dir: Path) -> Tracked:
    """Of a run that labelled: totals, the share of pairs with a label, and by principle."""
    summary = summarize_labels(run_dir)
    pairs = summary.pairs
    figures: dict[str, float | None] = {
        "prompts": summary.prompts,
        "failed": summary.failure_kinds.total(),
        "answers": summary.answers,
        "pairs": pairs,
        "labelled": summary.labelled,
        "label_yield": summary.labelled / pairs if pairs else None,
        "confident": summary.confident,
        "position_bias": summary.position_bias,
    }
    figures |= {f"undecided/{reason}": count for reason, count in summary.undecided.items()}
    for id, counts in summary.principles.items():
        figures[f"labelled/{id}"] = counts.labelled
    records = read_rows(run_dir / "records.jsonl", LabelRecord)
    rows = [row for record in islice(records, _SAMPLES) for row in _pairs(record)][:_SAMPLES]
    columns = ("id", "prompt", "chosen", "rejected", "probability")
    return Tracked(summary.name, _settings(summary.manifest), figures, columns, rows)


def _pairs(record: LabelRecord) -> Iterator[tuple[str, ...]]:
    """The better answer of each labelled pair first, with the judge's probability of it."""
    for pair in record.pairs:
        if pair.probability is None or pair.dropped:
            continue
        places = (pair.first, pair.second) if pair.probability >= 0.5 else (pair.second, pair.first)
        chosen, rejected = (record.samples[place].text for place in places)
        probability = f"{max(pair.probability, 1 - pair.probability):.3f}"
        yield record.id, record.prompt[-1].content, chosen, rejected, probability


def _settings(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the run depends on, as its manifest says."""
    kept = ("kind", "identity", "constitution", "models", "sampling", "settings", "versions")
    return {name: manifest[name] for name in kept if name in manifest}
