"""The settings of `solon train grpo`: how to sample, who rewards, and what costs."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from engine.input_files import InputFile
from engine.settings import StakeholderChoice
from training.trainers.config import TrainingConfig

__all__ = ["GRPOTrainingConfig"]


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
    judge: str | None = Field(
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
