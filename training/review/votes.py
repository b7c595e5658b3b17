"""One reviewer's verdict on one item, whichever tool it comes from."""

from dataclasses import dataclass

__all__ = ["Vote"]


@dataclass(frozen=True, slots=True)
class Vote:
    """`verdict` is one of the item's queue, or None where the reviewer passed over it."""

    item: str
    reviewer: str
    verdict: str | None
    comment: str = ""
