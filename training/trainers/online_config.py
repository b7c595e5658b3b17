"""The settings of trainers that sample answers while they train, and reward them."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from constitution.permissions import REMOTE_CODE, switched
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile
from engine.settings import StakeholderChoice
from training.trainers.base_config import TrainingConfig
from training.trainers.reward_config import LengthPenalty, Reward

__all__ = [
    "GRPOTrainingConfig",
    "OnlineTrainingConfig",
    "PPOTrainingConfig",
    "RLOOTrainingConfig",
]


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

    @property
    def first_judge(self) -> str | None:
        """The spec of the first judge that rewards, if one does."""
        return next((reward.judge for reward in self.all_rewards if reward.judge), None)

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


class PPOTrainingConfig(OnlineTrainingConfig):
    """Proximal policy optimization (Schulman et al. 2017; of answers, Ouyang et al. 2022): a value function
    says for each token what the rest of the answer should earn, and the policy learns from what it earned
    beyond that. The KL is taken off the rewards."""

    beta: float = Field(
        default=0.05,
        ge=0,
        description="Weight of the KL to the model it starts as, in the rewards.",
    )
    kl: Literal["token", "answer"] = Field(
        default="token",
        description="token: each token is charged its own KL (Ouyang et al. 2022); answer: the last one is "
        "charged all of it.",
    )
    target_kl: float | None = Field(
        default=None,
        gt=0,
        description="Nats an answer that `beta` is adapted to (Ziegler et al. 2019); null: beta stays.",
    )
    generations: int = Field(default=1, ge=1, description="Answers to each prompt in a step.")
    minibatches: int = Field(
        default=1, ge=1, description="Steps of the optimizer that share out newly sampled answers."
    )
    inner_epochs: int = Field(
        default=4, ge=1, description="Passes over the answers before new ones are sampled."
    )
    clip: float = Field(
        default=0.2, gt=0, lt=1, description="How far a token's probability ratio counts from 1."
    )
    value_model: Annotated[str | None, InputFile(or_name=True)] = Field(
        default=None,
        description="The reward model that a value model starts as; null: a head on the policy.",
    )
    value_learning_rate: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Of the value function; null: `learning_rate`, but at least 1e-5, of a head 1e-4.",
    )
    value_weight: float = Field(default=0.1, gt=0, description="Of its loss, beside the policy's.")
    value_clip: float = Field(
        default=0.2,
        gt=0,
        description="How far a value counts from what it was when answers were new.",
    )
    discount: float = Field(default=1.0, gt=0, le=1, description="Of what later tokens earn.")
    gae_lambda: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Of advantages (Schulman et al. 2016); 1: what was earned less the value.",
    )

    @field_validator("target_kl")
    @classmethod
    def _has_a_weight(cls, target: float | None, info: ValidationInfo) -> float | None:
        if target is not None and info.data.get("beta") == 0:
            raise ValueError("`beta: 0` is no weight to adapt: set it above 0")
        return target

    def undivided(self, processes: int) -> tuple[str, str] | None:
        """As of others, and where a step has a single answer; its answers are those of all its
        `minibatches`."""
        sampled = self.minibatches * processes
        if sampled * self.batch_size * self.gradient_accumulation == 1:
            return "one answer a step has nothing to be compared with", "raise batch_size"
        return super().undivided(sampled)
