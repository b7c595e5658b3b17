"""How far people agree with the labels of the training data, with the judge and with one another.

Of a pair the verdicts compared are "A" and "B", the places in which reviewers saw the replies.
A hash gave the places, so that to always prefer the revised reply agrees with nobody by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from engine.shares import Estimate, share_estimate
from training.review.items import Queue
from training.review.review import Review
from training.stats.agreement import kappa_estimate

__all__ = ["Compared", "Raters", "ReviewerAgreement", "agreement"]


@dataclass(frozen=True, slots=True)
class Compared:
    """Verdicts of people against labels: on how many items, how often the same, and Cohen's kappa.

    `undecided` more items had no label, or reviewers who were split. No figure without any item;
    no kappa where one side always says the same, as the label of every escalated reply does.
    """

    items: int
    undecided: int
    same: Estimate | None
    kappa: Estimate | None


@dataclass(frozen=True, slots=True)
class Raters:
    """Two reviewers on the items that both decided on (undecided counts as a verdict)."""

    left: str
    right: str
    compared: Compared


@dataclass(frozen=True, slots=True)
class ReviewerAgreement:
    """With the training data's labels by queue, with the judge's by principle (of pairs and of
    escalated replies), and of every two reviewers that share an item."""

    reviewers: int
    queues: dict[Queue, Compared]
    principles: dict[str, Compared]
    escalated_principles: dict[str, Compared]
    raters: tuple[Raters, ...]


def agreement(reviews: Sequence[Review]) -> ReviewerAgreement:
    """Every figure, with 95 % intervals: Wilson's over records for shares, the bootstrap's over
    items for kappa."""
    pairs = [review for review in reviews if review.item.queue == "pairs"]
    escalated = [review for review in reviews if review.item.queue == "escalated"]
    queues: dict[Queue, list[Review]] = {"pairs": pairs, "escalated": escalated}
    return ReviewerAgreement(
        reviewers=len({vote.reviewer for review in reviews for vote in review.votes}),
        queues={
            queue: _with_labels(found, [review.item.label for review in found])
            for queue, found in queues.items()
            if found
        },
        principles=_by_principle(pairs),
        escalated_principles=_by_principle(escalated),
        raters=_raters(reviews),
    )


def _by_principle(reviews: Sequence[Review]) -> dict[str, Compared]:
    found: dict[str, list[Review]] = {}
    for review in reviews:
        for principle in review.item.labels:
            found.setdefault(principle, []).append(review)
    return {
        principle: _with_labels(of_it, [review.item.labels[principle] for review in of_it])
        for principle, of_it in sorted(found.items())
    }


def _with_labels(reviews: Sequence[Review], labels: Sequence[str | None]) -> Compared:
    both = [
        (label, review.verdict, review.item.record)
        for review, label in zip(reviews, labels, strict=True)
        if label is not None and review.verdict is not None
    ]
    return _compared(both, len(reviews) - len(both))


def _raters(reviews: Sequence[Review]) -> tuple[Raters, ...]:
    found: dict[tuple[str, str], list[tuple[str | None, str | None, str]]] = {}
    for review in reviews:
        for left, right in combinations(sorted(review.votes, key=lambda v: v.reviewer), 2):
            shared = found.setdefault((left.reviewer, right.reviewer), [])
            shared.append((left.verdict, right.verdict, review.item.record))
    return tuple(Raters(*names, _compared(both, 0)) for names, both in sorted(found.items()))


def _compared(both: Sequence[tuple[str | None, str | None, str]], undecided: int) -> Compared:
    left, right = [one for one, _, _ in both], [other for _, other, _ in both]
    hits = [float(one == other) for one, other, _ in both]
    varied = len(set(left)) > 1 and len(set(right)) > 1
    return Compared(
        items=len(both),
        undecided=undecided,
        same=share_estimate(hits, [record for _, _, record in both]),
        kappa=kappa_estimate(left, right) if varied else None,
    )
