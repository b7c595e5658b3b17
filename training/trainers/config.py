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
from training.trainers.budget import Budget
from training.trainers.reward_config import LengthPenalty, Reward

__all__ = [
    "DPOTrainingConfig",
    "GRPOTrainingConfig",
    "KTOTrainingConfig",
    "LoraSettings",
    "OnlineTrainingConfig",
    "RLOOTrainingConfig",
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
    budget: Budget = Budget()
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


class KTOTrainingConfig(DPOTrainingConfig):
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


class OnlineTrainingConfig(TrainingConfig):
    """What trainers have that sample answers while they train, and reward them.

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

    rewards: list[Reward] = Field(
        default_factory=list, description="What pays, each with a weight or as a veto."
    )
    reward_model: Annotated[str | None, InputFile(or_name=True)] = Field(
        default=None, description="What `solon train reward-model` wrote; short for a reward."
    )
    reward_model_weight: float = Field(default=1.0, gt=0)
    judge: Annotated[str | None, MODEL_SPEC] = Field(
        default=None,
        validate_default=True,
        description="A model that judges by the principles; short for a reward.",
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
        rewards = [reward for reward in info.data.get("rewards", ()) if not reward.length]
        if judge is None and info.data.get("reward_model") is None and not rewards:
            raise PydanticCustomError("missing", "neither a judge nor a reward_model")
        return judge

    @field_validator("constitution")
    @classmethod
    def _has_principles(cls, constitution: str | None, info: ValidationInfo) -> str | None:
        by_principles = any(r.needs_constitution for r in info.data.get("rewards", ()))
        if constitution is None and (by_principles or info.data.get("judge") is not None):
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
    def all_rewards(self) -> list[Reward]:
        """Every reward but of length, those that `judge` and `reward_model` are short for first."""
        found = []
        if self.judge is not None:
            found.append(Reward(judge=self.judge, weight=self.judge_weight))
        if self.reward_model is not None:
            found.append(Reward(reward_model=self.reward_model, weight=self.reward_model_weight))
        return [*found, *(reward for reward in self.rewards if not reward.length)]

    @property
    def length(self) -> LengthPenalty:
        """What long answers cost."""
        named = next((reward.length for reward in self.rewards if reward.length), None)
        found = named or LengthPenalty(soft=self.soft_length, penalty=self.length_penalty)
        free = 3 * self.max_answer // 4
        return found if found.soft is not None else found.model_copy(update={"soft": free})


class GRPOTrainingConfig(OnlineTrainingConfig):
    """Group relative policy optimization: answers to one prompt are compared with each other.

    The KL term is part of the loss (Shao et al. 2024). `loss` names what is averaged over what.
    """

    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = Field(
        default="dapo",
        description="dapo: mean over the tokens of a step (Yu et al. 2025); grpo: over answers, each "
        "the mean of its tokens (Shao et al. 2024); dr_grpo: over answers, by max_answer (Liu et al. "
        "2025); bnpo: over the tokens of a batch.",
    )


class RLOOTrainingConfig(OnlineTrainingConfig):
    """REINFORCE leave-one-out (Ahmadian et al. 2024): an answer's baseline is the mean reward of the
    others to its prompt, and the KL is taken off the reward of the whole answer."""

    beta: float = Field(
        default=0.05, ge=0, description="Weight of the KL to the model it starts as, in the reward."
    )
    generations: int = Field(default=4, ge=2, description="Answers to each prompt, to be compared.")
