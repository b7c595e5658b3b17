"""How good a reward model is on held-out pairs: accuracy, calibration, and whether it likes length."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PairRewards", "expected_calibration_error", "rank_correlation", "reward_report"]

_BINS = 10


@dataclass(frozen=True, slots=True)
class PairRewards:
    """A pair's rewards, the judge's probability that the chosen one is better, and the answers'
    lengths in characters."""

    chosen: float
    rejected: float
    probability: float
    chosen_length: int
    rejected_length: int

    @property
    def predicted(self) -> float:
        """The model's probability that the chosen one is better (Bradley and Terry 1952)."""
        margin = max(-700.0, min(700.0, self.chosen - self.rejected))
        return 1 / (1 + math.exp(-margin))


@dataclass(frozen=True, slots=True)
class _Bin:
    """Pairs of like confidence: how many, how confident, and how often right."""

    pairs: int
    confidence: float
    accuracy: float


def reward_report(pairs: Sequence[PairRewards]) -> dict[str, Any]:
    """Figures for the manifest; a correlation that is not defined is None.

    `prefers_longer` counts pairs where the model gives the longer answer the higher reward,
    `judge_prefers_longer` those where the longer one was chosen.
    """
    rewards = [r for pair in pairs for r in (pair.chosen, pair.rejected)]
    lengths = [float(n) for pair in pairs for n in (pair.chosen_length, pair.rejected_length)]
    longer = [p for p in pairs if p.chosen_length != p.rejected_length]
    bins = _bins(pairs)
    return {
        "pairs": len(pairs),
        "accuracy": statistics.fmean(map(_right, pairs)),
        "calibration_error": expected_calibration_error(pairs),
        "cross_entropy": statistics.fmean(map(_cross_entropy, pairs)),
        "length_correlation": {
            "pearson": _correlation(rewards, lengths),
            "spearman": rank_correlation(rewards, lengths),
        },
        "prefers_longer": _share([
            (p.chosen > p.rejected) == (p.chosen_length > p.rejected_length) for p in longer
        ]),
        "judge_prefers_longer": _share([p.chosen_length > p.rejected_length for p in longer]),
        "calibration": [
            {"pairs": b.pairs, "confidence": b.confidence, "accuracy": b.accuracy} for b in bins
        ],
    }


def expected_calibration_error(pairs: Sequence[PairRewards]) -> float:
    """Mean distance of confidence (0.5 to 1) and accuracy over ten bins (Guo et al. 2017, eq. 5)."""
    return sum(b.pairs * abs(b.confidence - b.accuracy) for b in _bins(pairs)) / len(pairs)


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Spearman's: Pearson's of the ranks, ties sharing theirs. None where one side is constant."""
    return _correlation(_ranks(left), _ranks(right))


def _bins(pairs: Sequence[PairRewards]) -> list[_Bin]:
    """Those that hold any pair, least confident first."""
    members: list[list[PairRewards]] = [[] for _ in range(_BINS)]
    for pair in pairs:
        index = int((_confidence(pair) - 0.5) * 2 * _BINS)
        members[min(index, _BINS - 1)].append(pair)
    return [
        _Bin(
            pairs=len(inside),
            confidence=statistics.fmean(map(_confidence, inside)),
            accuracy=statistics.fmean(map(_right, inside)),
        )
        for inside in members
        if inside
    ]


def _confidence(pair: PairRewards) -> float:
    return max(pair.predicted, 1 - pair.predicted)


def _right(pair: PairRewards) -> float:
    """1 if the model prefers what was chosen, 0.5 if it finds both alike."""
    return 0.5 if pair.chosen == pair.rejected else float(pair.chosen > pair.rejected)


def _cross_entropy(pair: PairRewards) -> float:
    """Against the judge's probability, in nats; stable for any margin."""
    margin = pair.chosen - pair.rejected
    return max(margin, 0.0) - margin * pair.probability + math.log1p(math.exp(-abs(margin)))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            ranks[index] = (start + end - 1) / 2
        start = end
    return ranks


def _correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    try:
        return statistics.correlation(left, right)
    except statistics.StatisticsError:
        return None


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
