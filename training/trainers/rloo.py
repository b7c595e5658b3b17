"""REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740), on TRL's RLOOTrainer.

An answer's advantage is its reward less the mean reward of the other answers to its prompt. The whole
answer is one action, and beta times log(policy / reference) of it is taken off its reward.
"""

from functools import partial
from typing import Any

from training.trainers.config import RLOOTrainingConfig
from training.trainers.grpo import OnlineMethod, sampling_arguments, train_online

__all__ = ["run"]


def _rloo(config: RLOOTrainingConfig) -> tuple[Any, Any]:
    from trl import RLOOConfig, RLOOTrainer

    return RLOOTrainer, RLOOConfig(**sampling_arguments(config))


run = partial(train_online, OnlineMethod("rloo", _rloo))
"""Train by an RLOOTrainingConfig, as `train_online` does."""
