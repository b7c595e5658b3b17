"""Reviewers' verdicts on an item, whichever tool they come from."""

from dataclasses import dataclass
from typing import Any

from training.review.items import OUTCOMES, VERDICTS, ReviewItem

__all__ = ["Review", "Vote"]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one reviewer says of one item: `verdict` is one of the item's queue, or None and why it does
    not count. An unknown reviewer has no name, and is not the same one as another such."""

    item: str
    reviewer: str
    verdict: str | None
    comment: str = ""
    unused: str = "passed over"
    """Why there is no verdict."""


@dataclass(frozen=True, slots=True)
class Review:
    """An item and one vote of each reviewer who decided on it."""

    item: ReviewItem
    votes: tuple[Vote, ...]
    again: tuple[Vote, ...] = ()
    """What they said when they were asked once more; it counts for their consistency alone."""

    @property
    def share(self) -> float:
        """Of the reviewers who say A, or that the principle is broken; who is undecided counts as
        half a vote for either, and a rating as `VERDICTS` has it."""
        worth = VERDICTS[self.item.queue]
        return sum(worth.get(vote.verdict or "", 0.5) for vote in self.votes) / len(self.votes)

    @property
    def verdict(self) -> str | None:
        """What more of them say than not; None where they are split evenly."""
        yes, no = OUTCOMES[self.item.queue]
        return None if self.share == 0.5 else yes if self.share > 0.5 else no

    def row(self) -> dict[str, Any]:
        """As a line of `reviews.jsonl`."""
        item = self.item
        return {
            "item": item.id,
            "queue": item.queue,
            "record": item.record,
            "principles": list(item.principles),
            "verdict": self.verdict,
            "share": self.share,
            "label": item.label,
            "labels": dict(item.labels),
            "votes": [
                {"reviewer": v.reviewer, "verdict": v.verdict, "comment": v.comment}
                for v in self.votes
            ],
        }
