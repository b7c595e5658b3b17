"""What a run says about its constitution: principles that never mattered, pairs that say the same,
prompts that no principle caught. Counted in one pass; memory does not grow with the records."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from engine.records import DropReason, Outcome, Record

__all__ = ["Coverage", "CoverageTally", "Together"]

_FEWEST_MET = 5
"""Answers a principle must have met before its silence says something."""
_FEWEST_PAIRS = 10
"""Answers that both principles of a pair were judged on."""
_ALIKE = 0.8
"""Share of the answers that break either of two principles which break both."""
_EXAMPLES = 5
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Together:
    """Two principles that the same answers break: `both` of the `either` that break one."""

    first: str
    second: str
    both: int
    either: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Where a constitution may be wider, or shorter."""

    never_drawn: tuple[str, ...] = ()
    never_mattered: tuple[str, ...] = ()
    """Met by several answers, and none was revised for it or found to break it."""
    together: tuple[Together, ...] = ()
    uncaught: int = 0
    """Prompts that no principle applied to, or whose answer was found to keep all it met."""
    uncaught_tags: tuple[tuple[str, int], ...] = ()
    uncaught_examples: tuple[str, ...] = ()


@dataclass(slots=True)
class CoverageTally:
    """Add every record, then ask for the coverage."""

    met: Counter[str] = field(default_factory=Counter)
    mattered: Counter[str] = field(default_factory=Counter)
    both: Counter[Pair] = field(default_factory=Counter)
    either: Counter[Pair] = field(default_factory=Counter)
    judged: Counter[Pair] = field(default_factory=Counter)
    uncaught: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    _examples: list[tuple[int, str]] = field(default_factory=list)

    def add(self, record: Record) -> None:
        """Count one record."""
        broken_first = {v.principle for v in record.first_verdicts if v.violates}
        revised = {round.principle for round in record.accepted}
        met = [v.principle for v in record.first_verdicts] + [r.principle for r in record.rounds]
        self.met.update(set(met))
        self.mattered.update(broken_first | revised)
        decided = [v for v in record.final_verdicts if v.violates is not None]
        for verdict in decided:
            self.mattered[verdict.principle] += verdict.violates is True
        broken_now = {v.principle for v in decided if v.violates}
        for pair in combinations(sorted({v.principle for v in decided}), 2):
            hits = len(broken_now.intersection(pair))
            self.judged[pair] += 1
            self.either[pair] += hits > 0
            self.both[pair] += hits == 2
        if record.outcome is Outcome.COMPLIANT or (
            record.drop_reason is DropReason.NO_PRINCIPLE_APPLIES
        ):
            self._add_uncaught(record)

    def _add_uncaught(self, record: Record) -> None:
        self.uncaught += 1
        self.tags.update(record.tags)
        digest = int.from_bytes(hashlib.blake2b(record.id.encode(), digest_size=8).digest())
        asked = record.prompt[-1].content if record.prompt else ""
        heapq.heappush(self._examples, (-digest, asked))
        if len(self._examples) > _EXAMPLES:
            heapq.heappop(self._examples)

    def coverage(self, principles: Sequence[str]) -> Coverage:
        """Of a constitution whose principles have these ids."""
        pairs = [
            Together(*pair, self.both[pair], either)
            for pair, either in self.either.items()
            if self.judged[pair] >= _FEWEST_PAIRS and self.both[pair] >= _ALIKE * either > 0
        ]
        return Coverage(
            never_drawn=tuple(id for id in principles if not self.met[id]),
            never_mattered=tuple(
                id for id in principles if self.met[id] >= _FEWEST_MET and not self.mattered[id]
            ),
            together=tuple(sorted(pairs, key=lambda t: (-t.both, t.first, t.second))),
            uncaught=self.uncaught,
            uncaught_tags=tuple(self.tags.most_common(_EXAMPLES)),
            uncaught_examples=tuple(asked for _, asked in sorted(self._examples, reverse=True)),
        )
