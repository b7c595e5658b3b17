"""The steps of training that a recipe may take, and the chains that they form."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from training.trainers.config import (
    DPOTrainingConfig,
    GRPOTrainingConfig,
    KTOTrainingConfig,
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
    "why_not",
]

Step = Literal["sft", "reward-model", "dpo", "kto", "grpo", "rloo"]
STEPS: tuple[Step, ...] = get_args(Step)
TRAINERS: Mapping[Step, type[TrainingConfig]] = {
    "sft": SFTTrainingConfig,
    "reward-model": RewardModelConfig,
    "dpo": DPOTrainingConfig,
    "kto": KTOTrainingConfig,
    "grpo": GRPOTrainingConfig,
    "rloo": RLOOTrainingConfig,
}
ON_PREFERENCES = frozenset({"reward-model", "dpo", "kto"})
ONLINE = frozenset({"grpo", "rloo"})
"""Those that sample while they train."""


def section_name(step: Step) -> str:
    """The key of a recipe that holds the step's settings."""
    return step.replace("-", "_")


def why_not(chain: Sequence[Step]) -> tuple[str, str] | None:
    """What is wrong with the order of these steps, which follow each other from the base model on, and
    the remedy."""
    twice = next((step for step in chain if chain.count(step) > 1), None)
    if twice:
        return f"{twice} is there twice", "use `rounds`, or arms"
    if "sft" in chain[1:]:
        return "sft would undo what is trained before it", "put it first"
    return None
