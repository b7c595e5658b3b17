"""What a reviewer is asked: two replies to compare, or a reply that may break a critical principle.

An item's id is a hash of what it shows, and the id decides which reply is shown first and when:
reviewers cannot tell which one the judge chose, and the verdicts find their way back without a
key.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from constitution.problems import InputError, Problem
from constitution.schema import Severity
from engine.judging.records import LabelledPair, LabelRecord
from engine.messages import Conversation
from engine.record_files import read_records, read_rows
from engine.records import Outcome, Record
from engine.report.summary import PrincipleText, read_principle_texts
from engine.report.wording import visible
from engine.runs.manifest import run_manifest
from training.data.datasets import Row, label_preference_rows, preference_row

__all__ = [
    "OUTCOMES",
    "VERDICTS",
    "Queue",
    "ReviewItem",
    "ShownItem",
    "critical_principles",
    "escalated_for",
    "escalation_id",
    "pair_item",
    "repeated_id",
    "review_items",
    "shown_item",
]

Queue = Literal["pairs", "escalated", "ratings"]
"""Pairs of replies, final answers that still break a critical principle, or final answers to rate under
each principle that was judged."""

VERDICTS: Mapping[Queue, Mapping[str, float]] = {
    "pairs": {"A": 1.0, "B": 0.0, "equal": 0.5},
    "escalated": {"breaks": 1.0, "keeps": 0.0, "unclear": 0.5},
    "ratings": {"1": 1.0, "2": 0.75, "3": 0.5, "4": 0.25, "5": 0.0},
}
"""What a reviewer may say, and how far it is for A, or that the principle is broken. A rating is from 1,
breaks it badly, to 5, keeps it fully."""
OUTCOMES: Mapping[Queue, tuple[str, str]] = {
    "pairs": ("A", "B"),
    "escalated": ("breaks", "keeps"),
    "ratings": ("breaks", "keeps"),
}
"""What several reviewers come to, above a half and below."""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One question to a reviewer.

    `replies` are two in the order in which they are shown, A and B, or the one that was escalated.
    `label` is the verdict that the training data holds now, and `labels` the judge's under each
    principle (None: it gave none).
    """

    id: str
    queue: Queue
    record: str
    prompt: Conversation
    replies: tuple[str, ...]
    principles: tuple[str, ...]
    label: str | None
    labels: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShownItem:
    """Texts as a tool can store and show them: never empty, with hidden characters spelled out
    (a NUL is more than some databases take, and reordering hides what a reply says)."""

    id: str
    prompt: str
    replies: tuple[str, ...]
    principles: str
    principle_ids: tuple[str, ...]


def review_items(run: Path, queue: Queue) -> Iterator[ReviewItem]:
    """Every item of a run, in the order of its records. Raises InputError if it has no such queue."""
    kind = run_manifest(run, "revise", "label", "guard")["kind"]
    if kind == "label":
        if queue != "pairs":
            remedy = "leave --queue out, or name a run of `solon revise`"
            what = "is a label run: it escalates nothing and has no final answers"
            raise InputError(Problem(str(run), what, remedy))
        for labelled in read_rows(run / "records.jsonl", LabelRecord):
            yield from _labelled_items(labelled)
        return
    critical = critical_principles(run)
    guarded = kind == "guard"
    rows = read_rows(run / "escalations.jsonl", Record) if guarded else read_records(run)
    for record in rows:
        if queue == "escalated":
            yield from _escalated_items(record, critical)
        elif queue == "ratings":
            yield from _rated_items(record)
        elif record.outcome is Outcome.REVISED and (row := preference_row(record)):
            yield pair_item(row, record.prompt)


def shown_item(item: ReviewItem, texts: Mapping[str, PrincipleText]) -> ShownItem:
    """`item` with the statements of its principles; one without is shown by its id. A question that
    stands alone is shown as it is, of several turns each under its role."""

    def text(said: str) -> str:
        return visible(said) if said.strip() else "(empty)"

    lines = [
        f"{name}: {texts[name].statement}" if name in texts else name for name in item.principles
    ]
    turns = [f"[{message.role}]\n{message.content}" for message in item.prompt]
    return ShownItem(
        id=item.id,
        prompt=text(item.prompt[0].content if len(turns) == 1 else "\n\n".join(turns)),
        replies=tuple(map(text, item.replies)),
        principles=text("\n".join(lines)),
        principle_ids=item.principles,
    )


def pair_item(row: Row, prompt: Conversation = ()) -> ReviewItem:
    """The item of a preference row; swapping `chosen` and `rejected` changes its label alone."""
    chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
    first, second = sorted((chosen, rejected))
    id = _hashed("pair", row["id"], first, second)
    if int(id[-1], 16) % 2:
        first, second = second, first
    label = "A" if first == chosen else "B"
    principles = tuple(dict.fromkeys(row["principles"]))
    return ReviewItem(
        id=id,
        queue="pairs",
        record=row["id"],
        prompt=prompt,
        replies=(first, second),
        principles=principles,
        label=label,
        labels=dict.fromkeys(principles, label),
    )


def critical_principles(run: Path) -> frozenset[str]:
    """The ids of those that are critical in the run's copy of the constitution."""
    texts = read_principle_texts(run)
    return frozenset(name for name, text in texts.items() if text.severity == Severity.CRITICAL)


def escalated_for(record: Record, critical: Collection[str]) -> tuple[str, ...]:
    """The principles that a person must look at, of a record that is escalated."""
    asked = tuple(name for name in record.unresolved if name in critical)
    return asked or record.unresolved


def escalation_id(record: str, reply: str, principle: str) -> str:
    """The id of the question whether `reply` breaks `principle`."""
    return _hashed("escalated", record, reply, principle)


def _labelled_items(record: LabelRecord) -> Iterator[ReviewItem]:
    pairs = (pair for pair in record.labelled if pair.probability is not None)
    for pair, row in zip(pairs, label_preference_rows(record), strict=True):
        item = pair_item(row, record.prompt)
        first_is_a = record.samples[pair.first].text == item.replies[0]
        yield replace(item, labels=_judged(pair, first_is_a))


def _judged(pair: LabelledPair, first_is_a: bool) -> dict[str, str | None]:
    """Principle to the reply that the judge found better under it, of those it could decide."""
    found: dict[str, str | None] = {}
    for preference in pair.preferences:
        probability = preference.probability
        if preference.undecided is None and probability is not None:
            first_better = probability > 0.5
            label = "A" if first_better == first_is_a else "B"
            found[preference.principle] = None if probability == 0.5 else label
    return found


def _escalated_items(record: Record, critical: Collection[str]) -> Iterator[ReviewItem]:
    if not record.escalate:
        return
    verdicts = {verdict.principle: verdict for verdict in record.final_verdicts}
    for principle in escalated_for(record, critical):
        verdict = verdicts.get(principle)
        broken = verdict is not None and verdict.violates
        label = "breaks" if broken else None
        yield ReviewItem(
            id=escalation_id(record.id, record.final, principle),
            queue="escalated",
            record=record.id,
            prompt=record.prompt,
            replies=(record.final,),
            principles=(principle,),
            label=label,
            labels={principle: label},
        )


def _rated_items(record: Record) -> Iterator[ReviewItem]:
    for verdict in record.final_verdicts:
        label = None if verdict.violates is None else "breaks" if verdict.violates else "keeps"
        yield ReviewItem(
            id=_hashed("rated", record.id, record.final, verdict.principle),
            queue="ratings",
            record=record.id,
            prompt=record.prompt,
            replies=(record.final,),
            principles=(verdict.principle,),
            label=label,
            labels={verdict.principle: label},
        )


def repeated_id(item: str) -> str:
    """The id under which an item is asked about once more, of which reviewers cannot tell."""
    return _hashed("again", item)


def _hashed(*parts: str) -> str:
    """24 hex digits; every part is separate from the next."""
    digest = blake2b(digest_size=12)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
