"""How far people agree with the labels of the training data, with the judge and with one another.

Of a pair the verdicts compared are "A" and "B", the places in which reviewers saw the replies.
A hash gave the places, so that to always prefer the revised reply agrees with nobody by chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from engine.shares import Estimate, share_estimate
from training.review.items import VERDICTS, Queue
from training.review.review import Review
from training.stats.raters import Level, gwet_ac1, kappa_estimate, krippendorff_alpha

__all__ = ["Among", "Compared", "Raters", "ReviewerAgreement", "agreement"]


@dataclass(frozen=True, slots=True)
class Compared:
    """Verdicts of people against labels: on how many items, how often the same, and Cohen's kappa.

    `undecided` more items had no label, or reviewers who were split. No figure without any item;
    no kappa where one side always says the same, as the label of every escalated reply does; Gwet's
    AC1 is there where either says more than one thing.
    """

    items: int
    undecided: int
    same: Estimate | None
    kappa: Estimate | None
    ac1: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Among:
    """Reviewers among themselves, on the items that two or more decided on: Krippendorff's alpha
    (ordinal for ratings, where they differ by more or less) and Gwet's AC1."""

    items: int
    alpha: Estimate | None
    ac1: Estimate | None


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
    among: dict[str, Among] = field(default_factory=dict)
    """Of all reviewers, by queue and then by `QUEUE: PRINCIPLE`."""
    with_themselves: dict[str, Compared] = field(default_factory=dict)
    """Each reviewer's first and second verdict on what was asked twice."""


def agreement(reviews: Sequence[Review]) -> ReviewerAgreement:
    """Every figure, with 95 % intervals over records. Unknown reviewers vote, but are not counted nor
    compared with one another."""
    queues: dict[Queue, list[Review]] = {queue: [] for queue in VERDICTS}
    for review in reviews:
        queues[review.item.queue].append(review)
    return ReviewerAgreement(
        reviewers=len({v.reviewer for review in reviews for v in review.votes if v.reviewer}),
        queues={
            queue: _with_labels(found, [review.item.label for review in found])
            for queue, found in queues.items()
            if found
        },
        principles=_by_principle(queues["pairs"]),
        escalated_principles=_by_principle(queues["escalated"] + queues["ratings"]),
        raters=_raters(reviews),
        among=_all_among(queues),
        with_themselves=_with_themselves(reviews),
    )


def _all_among(queues: Mapping[Queue, Sequence[Review]]) -> dict[str, Among]:
    found: dict[str, Among] = {}
    for queue, reviews in queues.items():
        if not any(len(review.votes) > 1 for review in reviews):
            continue
        found[queue] = _among(reviews)
        names = sorted({name for review in reviews for name in review.item.principles})
        for name in names:
            found[f"{queue}: {name}"] = _among([r for r in reviews if name in r.item.principles])
    return found


def _among(reviews: Sequence[Review]) -> Among:
    level: Level = "ordinal" if reviews[0].item.queue == "ratings" else "nominal"
    ratings = [[vote.verdict for vote in review.votes] for review in reviews]
    records = [review.item.record for review in reviews]
    return Among(
        items=sum(len(of_it) > 1 for of_it in ratings),
        alpha=krippendorff_alpha(ratings, records, level),
        ac1=gwet_ac1(ratings, records),
    )


def _with_themselves(reviews: Sequence[Review]) -> dict[str, Compared]:
    found: dict[str, list[tuple[str | None, str | None, str]]] = {}
    for review in reviews:
        first = {vote.reviewer: vote.verdict for vote in review.votes if vote.reviewer}
        for vote in review.again:
            if vote.reviewer in first:
                both = (first[vote.reviewer], vote.verdict, review.item.record)
                found.setdefault(vote.reviewer, []).append(both)
    return {reviewer: _compared(both, 0) for reviewer, both in sorted(found.items())}


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
        known = sorted((v for v in review.votes if v.reviewer), key=lambda v: v.reviewer)
        for left, right in combinations(known, 2):
            shared = found.setdefault((left.reviewer, right.reviewer), [])
            shared.append((left.verdict, right.verdict, review.item.record))
    return tuple(Raters(*names, _compared(both, 0)) for names, both in sorted(found.items()))


def _compared(both: Sequence[tuple[str | None, str | None, str]], undecided: int) -> Compared:
    left, right = [one for one, _, _ in both], [other for _, other, _ in both]
    hits = [float(one == other) for one, other, _ in both]
    varied = len(set(left)) > 1 and len(set(right)) > 1
    records = [record for _, _, record in both]
    return Compared(
        items=len(both),
        undecided=undecided,
        same=share_estimate(hits, records),
        kappa=kappa_estimate(left, right, records) if varied else None,
        ac1=gwet_ac1([[one, other] for one, other, _ in both], records),
    )
