"""Proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347) of whole answers, as InstructGPT has
it (Ouyang et al. 2022, arXiv 2203.02155, section 3.5 and appendix C), on TRL's GRPOTrainer.

An answer's tokens are the actions. TRL samples, asks for rewards, and clips the policy's loss, which takes an
advantage for each token; `training.trainers.ppo_trainer` adds the value function, the advantages and the KL
in the rewards.
"""

import os
from functools import partial
from typing import Any

from constitution.problems import InputError, Problem
from training.trainers.config import PPOTrainingConfig
from training.trainers.grpo import OnlineMethod, sampling_arguments, train_online
from training.trainers.ppo_trainer import WithValueFunction
from training.trainers.value_function import check_value_model

__all__ = ["run"]


def _ppo(config: PPOTrainingConfig) -> tuple[Any, Any]:
    from trl import GRPOConfig, GRPOTrainer

    _refuse_sharding()
    check_value_model(config)

    class PPOTrainer(WithValueFunction, GRPOTrainer):
        ppo = config

    batches = config.minibatches * config.gradient_accumulation
    # TRL refuses one answer to a prompt, as GRPO has nothing to compare it with: it is set afterwards.
    trl_config = GRPOConfig(
        **{**sampling_arguments(config), "num_generations": config.batch_size * batches},
        steps_per_generation=batches,
        num_iterations=config.inner_epochs,
        epsilon=config.clip,
        loss_type="dapo",
    )
    trl_config.num_generations = config.generations
    return PPOTrainer, trl_config


def _refuse_sharding() -> None:
    for name in ("FSDP", "DEEPSPEED"):
        if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true":
            remedy = "train on one GPU or with DDP (lora saves memory), or use grpo or rloo"
            raise InputError(Problem("ppo", "is not sharded over GPUs", remedy))


run = partial(train_online, OnlineMethod("ppo", _ppo))
"""Train by a PPOTrainingConfig, as `train_online` does."""
