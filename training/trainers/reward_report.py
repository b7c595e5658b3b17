"""How good a reward model is on held-out pairs: accuracy, calibration, and whether it likes length."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.stats.agreement import calibration, pearson, spearman

__all__ = ["PairRewards", "reward_report"]

_BINS = 20
"""Of which a confidence, which is a half or more, can fall into the upper ten."""


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


def reward_report(pairs: Sequence[PairRewards]) -> dict[str, Any]:
    """Figures for the manifest, of one pair or more; a correlation that is not defined is None.

    `prefers_longer` counts pairs where the model gives the longer answer the higher reward,
    `judge_prefers_longer` those where the longer one was chosen.
    """
    rewards = [r for pair in pairs for r in (pair.chosen, pair.rejected)]
    lengths = [float(n) for pair in pairs for n in (pair.chosen_length, pair.rejected_length)]
    longer = [p for p in pairs if p.chosen_length != p.rejected_length]
    curve = calibration(list(map(_confidence, pairs)), list(map(_right, pairs)), _BINS)
    assert curve is not None
    return {
        "pairs": len(pairs),
        "accuracy": statistics.fmean(map(_right, pairs)),
        "calibration_error": curve.error,
        "cross_entropy": statistics.fmean(map(_cross_entropy, pairs)),
        "length_correlation": {
            "pearson": pearson(rewards, lengths),
            "spearman": spearman(rewards, lengths),
        },
        "prefers_longer": _share([
            (p.chosen > p.rejected) == (p.chosen_length > p.rejected_length) for p in longer
        ]),
        "judge_prefers_longer": _share([p.chosen_length > p.rejected_length for p in longer]),
        "calibration": [
            {"pairs": b.count, "confidence": b.predicted, "accuracy": b.observed}
            for b in curve.bins
        ],
    }


def _confidence(pair: PairRewards) -> float:
    return max(pair.predicted, 1 - pair.predicted)


def _right(pair: PairRewards) -> float:
    """1 if the model prefers what was chosen, 0.5 if it finds both alike."""
    return 0.5 if pair.chosen == pair.rejected else float(pair.chosen > pair.rejected)


def _cross_entropy(pair: PairRewards) -> float:
    """Against the judge's probability, in nats; stable for any margin."""
    margin = pair.chosen - pair.rejected
    return max(margin, 0.0) - margin * pair.probability + math.log1p(math.exp(-abs(margin)))


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None
