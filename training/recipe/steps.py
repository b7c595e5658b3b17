"""The steps of training that a recipe may take, and the chains that they form."""

from collections.abc import Mapping
from typing import Literal, get_args

from training.trainers.config import (
    DPOTrainingConfig,
    GRPOTrainingConfig,
    KTOTrainingConfig,
    PPOTrainingConfig,
    RewardModelConfig,
    RLOOTrainingConfig,
    SFTTrainingConfig,
    TrainingConfig,
)

__all__ = [
    "ONLINE",
    "ON_PREFERENCES",
    "STEPS",
    "TRAINERS",
    "Step",
    "section_name",
]

Step = Literal["sft", "reward-model", "dpo", "kto", "grpo", "rloo", "ppo"]
STEPS: tuple[Step, ...] = get_args(Step)
TRAINERS: Mapping[Step, type[TrainingConfig]] = {
    "sft": SFTTrainingConfig,
    "reward-model": RewardModelConfig,
    "dpo": DPOTrainingConfig,
    "kto": KTOTrainingConfig,
    "grpo": GRPOTrainingConfig,
    "rloo": RLOOTrainingConfig,
    "ppo": PPOTrainingConfig,
}
ON_PREFERENCES = frozenset({"reward-model", "dpo", "kto"})
ONLINE = frozenset({"grpo", "rloo", "ppo"})
"""Those that sample while they train."""


def section_name(step: Step) -> str:
    """The key of a recipe that holds the step's settings."""
    return step.replace("-", "_")
