"""People's verdicts in place of the judge's, wherever training data is made.

- A preference row that was reviewed is chosen as the reviewers would, with the share of them that
  did as its probability; where they are split evenly there is no row.
- A revision that the reviewers like less than the first answer is not trained on.
- An escalated record is used once they find that it keeps every principle it was escalated for,
  and never while they find that it breaks one.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from constitution.problems import InputError, Problem
from engine.records import Outcome, Record
from engine.storage.jsonl import numbered_jsonl
from training.data.datasets import Row, preference_row
from training.review.items import (
    ReviewItem,
    critical_principles,
    escalated_for,
    escalation_id,
    pair_item,
)

__all__ = ["REVIEWER", "REVIEWS", "Overrides"]

REVIEWS = "reviews.jsonl"
REVIEWER = "people"
"""What reviewed rows name as their judge."""


class Overrides:
    """Verdicts by item: of a pair the share of reviewers that prefer A (ties half), of an escalated
    reply the share that find it broken. `rows` counts the preference rows that were given one."""

    def __init__(self, shares: Mapping[str, float], critical: Collection[str]) -> None:
        self._shares = shares
        self._critical = critical
        self.rows = 0

    @classmethod
    def read(cls, path: Path | None, run: Path) -> "Overrides":
        """The verdicts on `run` in `reviews.jsonl` or in the directory that holds it; none of None.

        Raises InputError if it is not such a file.
        """
        if path is None:
            return cls({}, critical_principles(run))
        file = path / REVIEWS if path.is_dir() else path
        remedy = "name what `solon import-reviews` wrote"
        if not file.is_file():
            raise InputError(Problem(str(file), "is missing", remedy))
        shares: dict[str, float] = {}
        for number, row in numbered_jsonl(file):
            item, share = row.get("item"), row.get("share")
            is_share = share is None or (isinstance(share, int | float) and 0 <= share <= 1)
            if not isinstance(item, str) or not is_share:
                raise InputError(Problem(f"{file}:{number}", "is not a review", remedy))
            if share is not None:
                shares[item] = float(share)
        if not shares:
            raise InputError(Problem(str(file), "holds no verdict", remedy))
        return cls(shares, critical_principles(run))

    def applied(self, rows: Iterable[Row], skipped: Counter[str]) -> Iterator[Row]:
        """Each row, if it is a preference as its reviewers have it; those split are skipped."""
        for row in rows:
            is_preference = isinstance(row.get("rejected"), list) and "probability" in row
            share = self._for_chosen(pair_item(row)) if is_preference else None
            if share is None:
                yield row
            elif share == 0.5:
                skipped["review_finds_neither_better"] += 1
            else:
                self.rows += 1
                yield _reviewed(row, share)

    def prefers_first(self, record: Record) -> bool:
        """Whether reviewers found the first answer better than what it was revised to."""
        row = preference_row(record) if self._shares else None
        share = self._for_chosen(pair_item(row)) if row else None
        return share is not None and share < 0.5

    def settled(self, record: Record, *, waiting_too: bool = False) -> Record:
        """An escalated record as its reviewers leave it: what they cleared is no longer unresolved, and
        with nothing unresolved its final answer is used. `waiting_too` clears what nobody decided on."""
        asked = self._asked(record)
        open_ = {name for name, share in asked.items() if share is None or share == 0.5}
        if _finds_broken(asked) or not asked or (open_ and not waiting_too):
            return record
        left = tuple(name for name in record.unresolved if name not in asked)
        outcome = record.outcome
        if outcome is Outcome.UNRESOLVED and not left:
            outcome = Outcome.COMPLIANT if record.final == record.answer else Outcome.REVISED
        return record.model_copy(update={"unresolved": left, "escalate": False, "outcome": outcome})

    def reason_to_withhold(self, record: Record) -> str | None:
        """Why a record gives no row that waits for people, or that they found to break a principle."""
        asked = self._asked(record)
        if _finds_broken(asked):
            return "review_finds_a_principle_broken"
        return "escalated" if asked else None

    def _asked(self, record: Record) -> dict[str, float | None]:
        """The share of reviewers that find each principle broken for which it was escalated."""
        if not record.escalate:
            return {}
        asked = escalated_for(record, self._critical)
        ids = {name: escalation_id(record.id, record.final, name) for name in asked}
        return {name: self._shares.get(id) for name, id in ids.items()}

    def _for_chosen(self, item: ReviewItem) -> float | None:
        share = self._shares.get(item.id)
        return share if share is None or item.label == "A" else 1 - share


def _finds_broken(asked: Mapping[str, float | None]) -> bool:
    return any(share is not None and share > 0.5 for share in asked.values())


def _reviewed(row: Row, share: float) -> Row:
    """`row` with the share of reviewers that prefer its chosen answer; the better one is chosen."""
    chosen, rejected = row["chosen"], row["rejected"]
    if share < 0.5:
        chosen, rejected, share = rejected, chosen, 1 - share
    return row | {
        "chosen": chosen,
        "rejected": rejected,
        "probability": share,
        "position_bias": 0.0,
        "method": "review",
        "judge": REVIEWER,
    }
