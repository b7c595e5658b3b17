"""The settings of each trainer: a YAML file, with single settings overridden on the command line.

Defaults are meant to be left alone; `null` where a setting may be is "as suits the machine": what
saves memory or padding is on where there is a GPU and TRL allows it.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from constitution.permissions import REMOTE_CODE, switched
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile
from engine.settings import StakeholderChoice
from training.trainers.base_config import LoraSettings, TrainingConfig

__all__ = [
    "DPOTrainingConfig",
    "GRPOTrainingConfig",
    "LoraSettings",
    "RewardModelConfig",
    "SFTTrainingConfig",
    "TrainingConfig",
]


DPOLoss = Literal[
    "sigmoid", "hinge", "ipo", "robust", "exo_pair", "nca_pair", "bco_pair", "sppo_hard", "aot",
    "aot_unpaired", "apo_zero", "apo_down", "discopop",
]  # fmt: skip
_SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")


class SFTTrainingConfig(TrainingConfig):
    """Supervised fine-tuning on `prompt` and `completion`."""

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


class DPOTrainingConfig(TrainingConfig):
    """Direct preference optimization (Rafailov et al. 2023)."""

    learning_rate: float = Field(default=5e-6, gt=0, lt=1)
    beta: float = Field(
        default=0.1, gt=0, description="How much straying from the reference costs."
    )
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

    @field_validator("length_normalised", "soft_labels")
    @classmethod
    def _is_sigmoid(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("loss_type", "sigmoid") != "sigmoid":
            raise ValueError(f"loss_type {info.data['loss_type']} has no such form: sigmoid has")
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


class RewardModelConfig(TrainingConfig):
    """A reward model on preferences (Bradley and Terry 1952)."""

    learning_rate: float = Field(default=1e-5, gt=0, lt=1)
    soft_labels: bool = Field(
        default=False, description="Train on the judge's `probability` instead of its choice."
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
    vllm_tensor_parallel: int = Field(
        default=1, ge=1, description="Training GPUs that share one copy of vLLM's weights."
    )
    vllm_sleep: bool = Field(
        default=False,
        description="Give vLLM's memory to the training while weights are changed; costs seconds a step.",
    )
    vllm_server: Annotated[
        str | None, switched(REMOTE_CODE, "would exchange weights and Python objects with a server")
    ] = Field(
        default=None,
        validate_default=True,
        description="URL of `vllm serve` on GPUs of its own, which samples instead.",
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

    @field_validator("vllm_server")
    @classmethod
    def _has_one_vllm(cls, url: str | None, info: ValidationInfo) -> str | None:
        beside = info.data.get("vllm_sleep") or info.data.get("vllm_tensor_parallel", 1) > 1
        if info.data.get("vllm") is False and (url or beside):
            raise ValueError("`vllm: false` samples without vLLM: take one of them out")
        if url and beside:
            raise ValueError(
                "a server has its own memory and GPUs: take out the other vllm_ options"
            )
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("not a URL: write http://HOST:PORT")
        lora = info.data.get("lora")
        if lora and lora.quantize and (url or beside or info.data.get("vllm")):
            raise ValueError("a base in 4 bits cannot be handed to vLLM: set `vllm: false`")
        return url

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
