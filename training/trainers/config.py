"""The settings of each trainer: a YAML file, with single settings overridden on the command line.

Defaults are meant to be left alone; `null` where a setting may be is "as suits the machine": what
saves memory or padding is on where there is a GPU and TRL allows it.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from constitution.permissions import PUSH, REMOTE_CODE, switched
from constitution.typed_yaml import Settings
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile
from engine.settings import Seed, StakeholderChoice

__all__ = [
    "DPOTrainingConfig",
    "GRPOTrainingConfig",
    "LoraSettings",
    "RewardModelConfig",
    "RowTrainingConfig",
    "SFTTrainingConfig",
    "TrainingConfig",
]


class LoraSettings(Settings):
    """Low-rank adapters (Hu et al. 2021) instead of training every weight."""

    r: int = Field(default=16, ge=1, description="Rank.")
    alpha: int = Field(default=32, ge=1, description="Scale; the update counts alpha / r.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="On the adapter's input.")
    target_modules: str | list[str] = Field(
        default="all-linear", description="Names of modules, or all linear ones but the head."
    )
    merge: bool = Field(
        default=True, description="Write the model with the adapter merged in, too."
    )


class TrainingConfig(Settings):
    """What every trainer has. Batch sizes are rows (or pairs) on one device at a time."""

    model: str = Field(min_length=1, description="A directory, a hub's name, or `embedded`.")
    dataset: str = Field(
        min_length=1, description="A directory that `solon export` wrote, a file, or hf:NAME."
    )
    out: str = Field(min_length=1, description="Directory to write.")
    test_dataset: Annotated[str | None, InputFile()] = Field(
        default=None, description="Held-out rows; test.jsonl beside the rows if there is one."
    )
    eval_share: float = Field(
        default=0.05, ge=0, lt=1, description="Prompts held out where there are no test rows."
    )
    seed: Seed = 0
    epochs: float = Field(default=1.0, gt=0, description="Passes over the rows.")
    max_steps: int | None = Field(default=None, ge=1, description="Overrides `epochs`.")
    learning_rate: float = Field(
        default=2e-5, gt=0, lt=1, description="Its peak; LoRA wants about ten times as much."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="cosine", description="Of the learning rate, after the warm-up."
    )
    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises."
    )
    batch_size: int = Field(default=8, ge=1, description="Rows, or pairs, on one device at a time.")
    gradient_accumulation: int = Field(default=1, ge=1, description="Batches in a step.")
    max_length: int = Field(
        default=1024, ge=8, description="Tokens of prompt and answer; longer rows are left out."
    )
    lora: LoraSettings | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="To compute in; auto is bfloat16 on a GPU that has it, float16 on one that has not.",
    )
    gradient_checkpointing: bool | None = Field(
        default=None, description="Recompute activations to save memory; null: on a GPU."
    )
    liger: bool | None = Field(
        default=None, description="Liger's kernels; null: on a GPU, if liger-kernel is installed."
    )
    report_to: Literal["none", "tensorboard", "wandb", "trackio"] = Field(
        default="none", description="Where metrics go besides log.jsonl."
    )
    save_every: int | None = Field(
        default=None,
        ge=1,
        description="Steps between checkpoints; null: one every ten minutes, deleted at the end.",
    )
    chat_template: Annotated[str | None, InputFile()] = Field(
        default=None, description="A Jinja file, for a model that has none."
    )
    trust_remote_code: Annotated[
        bool, switched(REMOTE_CODE, "would run code that comes with the model")
    ] = Field(default=False, description="Run code that comes with the model.")
    push_to_hub: Annotated[str | None, switched(PUSH, "would publish the model")] = Field(
        default=None, description="OWNER/NAME to publish the model as, privately."
    )


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
        description="Several rows in one sequence, kept apart by FlashAttention 2; null: on a GPU, if "
        "flash-attn is installed.",
    )
    padding_free: bool | None = Field(
        default=None, description="No padding within a batch; null: as for packing."
    )


class DPOTrainingConfig(RowTrainingConfig):
    """Direct preference optimization (Rafailov et al. 2023)."""

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


class RewardModelConfig(RowTrainingConfig):
    """A reward model on preferences (Bradley and Terry 1952)."""

    learning_rate: float = Field(default=1e-5, gt=0, lt=1)
    soft_labels: bool = Field(
        default=False, description="Train on the judge's `probability` instead of its choice."
    )
    margin: float = Field(
        default=1.0,
        ge=0,
        description="How far rewards must differ for each point that ratings do; 0: not at all.",
    )
    center_rewards: float = Field(
        default=0.01, ge=0, description="Weight of the squared mean of a pair's rewards."
    )


class GRPOTrainingConfig(TrainingConfig):
    """Group relative policy optimization (Shao et al. 2024) against the constitution.

    `batch_size` counts sampled answers on one device at a time, and `max_length` prompt and answer
    together.
    """

    learning_rate: float = Field(default=1e-6, gt=0, lt=1)
    beta: float = Field(
        default=0.04, ge=0, description="Weight of the KL to the model it starts as."
    )
    generations: int = Field(default=8, ge=2, description="Answers to each prompt, to be compared.")
    max_answer: int = Field(
        default=256,
        ge=1,
        validate_default=True,
        description="Tokens of an answer; then it is cut.",
    )
    temperature: float = Field(default=1.0, gt=0)
    vllm: bool | None = Field(
        default=None,
        description="Sample with vLLM on the training GPUs; null: where there are any.",
    )
    vllm_memory: float = Field(
        default=0.3, gt=0, lt=1, description="Share of a GPU's memory that vLLM takes."
    )

    reward_model: Annotated[str | None, InputFile(or_name=True)] = Field(
        default=None, description="What `solon train reward-model` wrote."
    )
    reward_model_weight: float = Field(default=1.0, gt=0)
    judge: Annotated[str | None, MODEL_SPEC] = Field(
        default=None,
        validate_default=True,
        description="A generator that judges by the principles.",
    )
    judge_weight: float = Field(default=1.0, gt=0)
    constitution: str | None = Field(
        default=None, validate_default=True, description="What the judge judges answers against."
    )
    principles: int | None = Field(
        default=None, ge=1, description="To judge each prompt by; null: all that apply."
    )
    stakeholder: StakeholderChoice = None
    length_penalty: float = Field(
        default=0.5, ge=0, description="Off the reward of an answer of `max_answer` tokens."
    )
    soft_length: int | None = Field(
        default=None, ge=0, description="Tokens free of it; null: three quarters of `max_answer`."
    )
    non_answer_penalty: float = Field(
        default=1.0, ge=0, description="Off the reward of an empty or truncated answer."
    )

    @field_validator("max_answer")
    @classmethod
    def _leaves_a_prompt(cls, max_answer: int, info: ValidationInfo) -> int:
        longest = info.data.get("max_length")
        if longest is not None and longest <= max_answer:
            raise ValueError(f"max_length ({longest:,}) leaves no token to a prompt: set it higher")
        return max_answer

    @field_validator("judge")
    @classmethod
    def _has_a_reward(cls, judge: str | None, info: ValidationInfo) -> str | None:
        if judge is None and info.data.get("reward_model") is None:
            raise PydanticCustomError("missing", "neither a judge nor a reward_model")
        return judge

    @field_validator("constitution")
    @classmethod
    def _has_principles(cls, constitution: str | None, info: ValidationInfo) -> str | None:
        if constitution is None and info.data.get("judge") is not None:
            raise PydanticCustomError("missing", "a judge without a constitution")
        return constitution

    def undivided(self, processes: int) -> tuple[str, str] | None:
        """What is wrong, and the remedy, where the answers of a step over all `processes` are not
        whole groups of `generations`."""
        sampled = self.batch_size * self.gradient_accumulation * processes
        if sampled % self.generations == 0:
            return None
        what = f"{sampled:,} answers a step cannot be shared out as {self.generations} a prompt"
        return what, "make batch_size × gradient_accumulation × processes a multiple of it"

    @property
    def longest_prompt(self) -> int:
        """Tokens that `max_length` leaves to a prompt; not positive if it leaves none."""
        return self.max_length - self.max_answer

    @property
    def free_length(self) -> int:
        """Tokens of an answer that cost nothing."""
        return 3 * self.max_answer // 4 if self.soft_length is None else self.soft_length
