"""What pays for a sampled answer: an entry of `rewards`, each of one kind, with a weight or as a veto."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from constitution.permissions import PYTHON_CHECKS, Asks, Need
from constitution.typed_yaml import Settings
from engine.generators.spec_needs import MODEL_SPEC
from engine.input_files import InputFile

__all__ = ["RECIPES_OWN", "LengthPenalty", "Perplexity", "Reward"]

RECIPES_OWN = "recipe"
"""In a recipe's `rewards`: its own judge, and the reward model that its step trains."""
KINDS = ("judge", "reward_model", "check", "python", "length", "perplexity")
Share = Annotated[float, Field(ge=0, le=1)]


def _runs(function: str) -> Iterator[Need]:
    yield Need(PYTHON_CHECKS, f"would run {function}, to reward answers")


class LengthPenalty(Settings):
    """Taken off the reward of long answers (the soft overlong punishment of Yu et al. 2025)."""

    soft: int | None = Field(
        default=None, ge=0, description="Tokens free of it; null: three quarters of `max_answer`."
    )
    penalty: float = Field(
        default=0.5, ge=0, description="Off the reward of an answer of `max_answer` tokens."
    )


class Perplexity(Settings):
    """Of the answer, under a model that reads it: 1 up to `above`, then above / perplexity."""

    model: Annotated[str, InputFile(or_name=True)] = Field(
        description="A directory, a hub's name, or `embedded`: such as the SFT model."
    )
    above: float = Field(gt=1, description="The perplexity from which on an answer is paid less.")


class Reward(Settings):
    """One of `judge`, `reward_model`, `check`, `python`, `length`, `perplexity`.

    Each scores an answer between 0 and 1, but `length`, which is a penalty. With `below` it is a
    veto: an answer with a lower score gets nothing for any other.
    """

    judge: Annotated[str | None, MODEL_SPEC] = Field(
        default=None, description="A model that judges by the constitution's principles."
    )
    reward_model: Annotated[
        str | list[str] | None, InputFile(or_name=True, words=(RECIPES_OWN,))
    ] = Field(
        default=None,
        description="What `solon train reward-model` wrote; several are an ensemble.",
    )
    combine: Literal["mean", "minimum", "lower"] = Field(
        default="mean", description="Of an ensemble; `lower` is the mean less `k` deviations."
    )
    k: float = Field(default=1.0, ge=0, description="Standard deviations that `lower` takes off.")
    check: str | list[str] | None = Field(
        default=None, description="Ids of principles whose checks pay, or `all`."
    )
    python: Annotated[str | None, InputFile(function=True), Asks((PYTHON_CHECKS,), _runs)] = Field(
        default=None,
        description="FILE.py:FUNCTION, called with `prompt` (messages) and `answer` (text); it returns "
        "a number from 0 to 1, or None where it cannot tell. It may be async.",
    )
    length: LengthPenalty | None = None
    perplexity: Perplexity | None = None
    weight: float | None = Field(
        default=None, gt=0, description="In the sum; null: 1, or none for a veto."
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="By stakeholder profile, in place of `weight`."
    )
    below: Share | None = Field(default=None, description="Veto: the score that is too low.")
    name: str | None = Field(
        default=None, pattern=r"^[a-z][a-z0-9_-]*$", description="Of its column in the log."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            told = "and ".join(f"{kind} " for kind in given) or "nothing "
            raise ValueError(f"{told}is given: give one of {', '.join(KINDS)}")
        if self.length and (self.below is not None or self.weight is not None or self.weights):
            raise ValueError("a penalty has no weight and no veto: set length.penalty")
        return self

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def plain_weight(self) -> float:
        """Of a prompt whose profile `weights` does not name."""
        default = 1.0 if self.below is None else 0.0
        return default if self.weight is None else self.weight

    @property
    def needs_constitution(self) -> bool:
        """Whether it goes by principles."""
        return self.judge is not None or self.check is not None

    @property
    def reward_models(self) -> list[str]:
        """The members of an ensemble."""
        named: Any = self.reward_model
        return [named] if isinstance(named, str) else list(named or ())
