"""A reward model of AI feedback (Bradley and Terry 1952), on TRL's RewardTrainer.

It is reported with its accuracy and calibration on held-out pairs, and with how its rewards go
with length.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any

from training.data.rows import Rows
from training.stats.agreement import calibration
from training.stats.intervals import pearson, spearman
from training.trainers.config import RewardModelConfig
from training.trainers.fit import arguments
from training.trainers.hard_negatives import add_hard_negatives
from training.trainers.rows_trainer import LengthGrouped, Method, Setup, train_on_rows
from training.trainers.soft_labels import SoftLabelReward, with_labels
from training.trainers.tokenized import Tokenized, reward_tokens

__all__ = ["PairRewards", "reward_report", "run"]


def _setup(config: RewardModelConfig, tokenizer: Any, weighted: bool = False) -> Setup:
    from trl import RewardConfig, RewardTrainer
    from trl.trainer.reward_trainer import DataCollatorForPreference

    class Hard(LengthGrouped, RewardTrainer):  # type: ignore[misc]  # TRL has no types
        pass

    class Soft(SoftLabelReward, Hard):  # type: ignore[misc]
        pass

    trl_config = RewardConfig(
        **arguments(config),
        max_length=None,
        center_rewards_coefficient=config.center_rewards or None,
    )
    pad = DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id)

    def collate(examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """TRL subtracts `margin` from the difference of a pair's rewards, and shows it to the model,
        which not every one takes: where nobody rated there is none."""
        batch: dict[str, Any] = pad(examples)
        margin = config.margin * batch.pop("margin")
        return {**batch, "margin": margin} if margin.any() else batch

    own_loss = config.soft_labels or weighted
    return Setup(
        Soft if own_loss else Hard,
        trl_config,
        {"data_collator": with_labels(collate, config.soft_labels) if own_loss else collate},
        measure_after=lambda trainer, data: _report(trainer, data, pad),
    )


def _report(trainer: Any, data: Tokenized, collate: Any) -> dict[str, Any]:
    """The report on held-out pairs; every process computes all of it, as a sharded model demands."""
    import torch

    if data.test is None:
        return {}
    chosen: list[float] = []
    rejected: list[float] = []
    model, size = trainer.model_wrapped.eval(), trainer.args.per_device_eval_batch_size
    for start in range(0, len(data.test), size):
        rows = data.test.select(range(start, min(start + size, len(data.test)))).to_list()
        padded = {k: v.to(trainer.args.device) for k, v in collate(rows).items()}
        batch = {k: v for k, v in padded.items() if k != "margin"}
        with torch.no_grad(), trainer.accelerator.autocast():
            first, second = model(**batch, use_cache=False).logits.squeeze(-1).float().chunk(2)
        chosen += first.tolist()
        rejected += second.tolist()
    names = ("probability", "chosen_length", "rejected_length", "kind")
    columns = {name: list(data.test[name]) for name in names}
    pairs = [PairRewards(*pair) for pair in zip(chosen, rejected, *columns.values(), strict=True)]
    return {"held_out_pairs": reward_report(pairs)}


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
    kind: str = ""
    """What the worse answer is like (`training.trainers.hard_negatives`)."""

    @property
    def predicted(self) -> float:
        """The model's probability that the chosen one is better (Bradley and Terry 1952)."""
        margin = max(-700.0, min(700.0, self.chosen - self.rejected))
        return 1 / (1 + math.exp(-margin))

    @property
    def cross_entropy(self) -> float:
        """Against the judge's probability, in nats; stable for any margin."""
        margin = self.chosen - self.rejected
        return max(margin, 0.0) - margin * self.probability + math.log1p(math.exp(-abs(margin)))

    @property
    def right(self) -> float:
        """1 if the model prefers what was chosen, 0.5 if it finds both alike."""
        return 0.5 if self.chosen == self.rejected else float(self.chosen > self.rejected)


def reward_report(pairs: Sequence[PairRewards]) -> dict[str, Any]:
    """Figures for the manifest, of one pair or more; a correlation that is not defined is None.

    `prefers_longer` counts pairs where the model gives the longer answer the higher reward,
    `judge_prefers_longer` those where the longer one was chosen. `by_kind` and `by_length` have the
    accuracy on pairs of each kind, and where the better answer is shorter, as long, or longer.
    """
    rewards = [r for pair in pairs for r in (pair.chosen, pair.rejected)]
    lengths = [float(n) for pair in pairs for n in (pair.chosen_length, pair.rejected_length)]
    right = [pair.right for pair in pairs]
    confidences = [max(pair.predicted, 1 - pair.predicted) for pair in pairs]
    curve = calibration(confidences, right, _BINS)
    assert curve is not None
    longer = [
        (p, p.chosen_length > p.rejected_length)
        for p in pairs
        if p.chosen_length != p.rejected_length
    ]
    return {
        "pairs": len(pairs),
        "accuracy": fmean(right),
        "calibration_error": curve.error,
        "cross_entropy": fmean(pair.cross_entropy for pair in pairs),
        "length_correlation": {
            "pearson": pearson(rewards, lengths),
            "spearman": spearman(rewards, lengths),
        },
        "prefers_longer": (
            fmean((p.chosen > p.rejected) == is_longer for p, is_longer in longer)
            if longer
            else None
        ),
        "judge_prefers_longer": fmean(is_longer for _, is_longer in longer) if longer else None,
        "by_kind": _accuracies(pairs, lambda pair: pair.kind),
        "by_length": _accuracies(pairs, _length_gap),
        "calibration": [
            {"pairs": b.count, "confidence": b.predicted, "accuracy": b.observed}
            for b in curve.bins
        ],
    }


_ALIKE = 1.2
"""Lengths within this ratio count as the same."""


def _length_gap(pair: PairRewards) -> str:
    ratio = pair.chosen_length / max(1, pair.rejected_length)
    return "longer" if ratio > _ALIKE else "shorter" if ratio < 1 / _ALIKE else "alike"


def _accuracies(
    pairs: Sequence[PairRewards], key: Callable[[PairRewards], str]
) -> dict[str, dict[str, float]]:
    """Accuracy and count of the pairs of each name; those without one are left out."""
    groups: dict[str, list[float]] = {}
    for pair in pairs:
        groups.setdefault(key(pair), []).append(pair.right)
    return {
        name: {"pairs": len(right), "accuracy": fmean(right)}
        for name, right in sorted(groups.items())
        if name
    }


def _prepare(config: RewardModelConfig, rows: Rows) -> None:
    if config.hard_negatives:
        add_hard_negatives(rows)


_METHOD = Method(
    "reward-model",
    "preference",
    reward_tokens,
    _setup,
    "reward",
    weighted=partial(_setup, weighted=True),
    prepare=_prepare,
)
run = partial(train_on_rows, _METHOD)
"""Train on `prompt`, `chosen` and `rejected`, by a RewardModelConfig, as `train_on_rows` does."""
