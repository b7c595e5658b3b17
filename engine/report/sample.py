"""A few conversations to look at: a fair sample, with room kept for the troubled ones."""

import heapq
import itertools
from hashlib import blake2b

from engine.records import Outcome, Record

__all__ = ["ConversationSample"]

_SHARE_OF_TROUBLED = 6
"""Each troubled kind is sure of a sixth of the sample, if there are that many."""


class ConversationSample:
    """The `size` records with the smallest hash of (seed, id), kept while records stream by.

    The choice depends on which records there are and not on the order they were finished in, so an
    interrupted and resumed run shows the same conversations as an uninterrupted one.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._seed = seed
        self._size = size
        share = -(-size // _SHARE_OF_TROUBLED)
        self._any = _Smallest(size)
        self._escalated, self._unresolved, self._dropped = (_Smallest(share) for _ in range(3))

    def add(self, record: Record) -> None:
        """Consider `record`."""
        rank = int.from_bytes(blake2b(f"{self._seed}\0{record.id}".encode()).digest()[:8])
        self._any.add(rank, record)
        if record.escalate:
            self._escalated.add(rank, record)
        elif record.unresolved:
            self._unresolved.add(rank, record)
        if any(round.dropped for round in record.rounds) or record.outcome is Outcome.DROPPED:
            self._dropped.add(rank, record)

    def records(self) -> list[Record]:
        """The sample, at most `size` records, in the order of the prompts."""
        chosen: dict[int, Record] = {}
        kinds = (self._escalated, self._unresolved, self._dropped, self._any)
        for record in itertools.chain.from_iterable(kind.in_order() for kind in kinds):
            if len(chosen) < self._size:
                chosen.setdefault(record.row, record)
        return [chosen[row] for row in sorted(chosen)]


class _Smallest:
    """The records of the `size` smallest ranks."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, int, Record]] = []  # largest rank on top

    def add(self, rank: int, record: Record) -> None:
        entry = (-rank, -record.row, record)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        elif self._heap and entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def in_order(self) -> list[Record]:
        return [entry[2] for entry in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
