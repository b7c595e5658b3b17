"""The settings of each trainer: a YAML file, with single settings overridden on the command line.

Defaults are meant to be left alone; `null` where a setting may be is "as suits the machine": what
saves memory or padding is on where there is a GPU and TRL allows it.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from engine.input_files import InputFile
from training.trainers.base_config import LoraSettings, TrainingConfig
from training.trainers.online_config import (
    GRPOTrainingConfig,
    OnlineTrainingConfig,
    PPOTrainingConfig,
    RLOOTrainingConfig,
)

__all__ = [
    "DPOTrainingConfig",
    "GRPOTrainingConfig",
    "KTOTrainingConfig",
    "LoraSettings",
    "OnlineTrainingConfig",
    "PPOTrainingConfig",
    "RLOOTrainingConfig",
    "ReferenceTrainingConfig",
    "RewardModelConfig",
    "RowTrainingConfig",
    "SFTTrainingConfig",
    "TrainingConfig",
]


DPOLoss = Literal[
    "sigmoid", "hinge", "ipo", "robust", "exo_pair", "nca_pair", "bco_pair", "sppo_hard", "aot",
    "aot_unpaired", "apo_zero", "apo_down", "discopop",
]  # fmt: skip
_SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")


class RowTrainingConfig(TrainingConfig):
    """What every trainer has that learns from answers in rows."""

    reasoning: Literal["drop", "train"] = Field(
        default="drop",
        description="What becomes of the reasoning before an answer: left out, or learned with it.",
    )


class SFTTrainingConfig(RowTrainingConfig):
    """Supervised fine-tuning on `prompt` and `completion`."""

    turns: Literal["last", "all"] = Field(
        default="last",
        description="Which of the assistant's turns are learned: its last, or all that are not in `prompt`.",
    )
    packing: bool | None = Field(
        default=None,
        description="Several rows in one sequence, which do not see each other; null: where `attention` "
        "is not sdpa.",
    )
    padding_free: bool | None = Field(
        default=None, description="No padding within a batch; null: as for packing."
    )

    @property
    def masked_tokens(self) -> int:
        """Of a sequence that rows share under one mask; 0 where they do not."""
        shared = self.attention == "sdpa" and (self.packing or self.padding_free)
        return self.batch_size * self.max_length if shared else 0


class ReferenceTrainingConfig(RowTrainingConfig):
    """What trainers have that compare with a reference model, on rows."""

    learning_rate: float = Field(default=5e-6, gt=0, lt=1)
    beta: float = Field(
        default=0.1, gt=0, description="How much straying from the reference costs."
    )
    soft_labels: bool = Field(
        default=False, description="Train on the judge's `probability` instead of its choice."
    )
    reference: Annotated[str | None, InputFile(or_name=True)] = Field(
        default=None, description="The reference model; the model itself, untrained, if null."
    )
    precompute_reference: bool = Field(
        default=True,
        description="Ask the reference once, before training; it then takes no memory.",
    )


class DPOTrainingConfig(ReferenceTrainingConfig):
    """Direct preference optimization (Rafailov et al. 2023)."""

    loss_type: DPOLoss = Field(
        default="sigmoid", description="TRL's name of the loss; sigmoid is Rafailov's."
    )
    length_normalised: bool = Field(
        default=False,
        description="Margins of log-probabilities a token instead of their sums (sigmoid alone): beta is "
        "then about as many times larger as answers have tokens.",
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=0.5,
        validate_default=True,
        description=f"Share of wrong labels, of {', '.join(_SMOOTHED)}.",
    )
    sft_weight: float = Field(
        default=0.0, ge=0, description="Of the chosen answer's own loss a token, added (RPO)."
    )

    @field_validator("length_normalised")
    @classmethod
    def _is_sigmoid(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("loss_type", "sigmoid") != "sigmoid":
            raise ValueError(f"loss_type {info.data['loss_type']} has no such form: sigmoid has")
        return value

    @field_validator("loss_type")
    @classmethod
    def _has_soft_labels(cls, value: str, info: ValidationInfo) -> str:
        if value != "sigmoid" and info.data.get("soft_labels"):
            raise ValueError(f"loss_type {value} has no such form: sigmoid has")
        return value

    @field_validator("label_smoothing")
    @classmethod
    def _is_smoothed(cls, value: float, info: ValidationInfo) -> float:
        loss = info.data.get("loss_type", "sigmoid")
        if value and loss not in _SMOOTHED:
            raise ValueError(f"loss_type {loss} does not read it: {', '.join(_SMOOTHED)} do")
        if not value and loss in ("robust", "exo_pair"):
            raise ValueError(f"loss_type {loss} needs it above 0: 0.1, or 0.001 for exo_pair")
        return value


class KTOTrainingConfig(ReferenceTrainingConfig):
    """Kahneman-Tversky optimization (Ethayarajh et al. 2024): answers that are good or bad, one by
    one. Of a pair `chosen` is good and `rejected` bad; `batch_size` counts answers, two at least."""

    batch_size: int = Field(default=8, ge=2, description="Answers on one device at a time.")
    desirable_weight: float | None = Field(
        default=None, gt=0, description="Of good answers; null: so that both kinds count the same."
    )
    undesirable_weight: float = Field(default=1.0, gt=0, description="Of bad answers.")


class RewardModelConfig(RowTrainingConfig):
    """A reward model on preferences (Bradley and Terry 1952)."""

    learning_rate: float = Field(default=1e-5, gt=0, lt=1)
    soft_labels: bool = Field(
        default=False, description="Train on the judge's `probability` instead of its choice."
    )
    hard_negatives: bool = Field(
        default=False,
        description="Learn, and be tested on, padded, flattering and boilerplate versions of the better "
        "answer and confident ones of the worse.",
    )
    margin: float = Field(
        default=1.0,
        ge=0,
        description="How far rewards must differ for each point that ratings do; 0: not at all.",
    )
    center_rewards: float = Field(
        default=0.01, ge=0, description="Weight of the squared mean of a pair's rewards."
    )
