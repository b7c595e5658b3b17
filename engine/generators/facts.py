"""What is found out about a model before anything is spent on it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from engine.messages import Message

__all__ = ["ENOUGH_MASS", "JUDGES_QUESTION", "ModelFacts"]

JUDGES_QUESTION = (Message("user", "Is Paris the capital of France? Answer Yes or No."),)
"""What every judge is asked first."""
ENOUGH_MASS = 0.05
"""Probability of giving any of the answers offered from which a model has answered."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model, asked once. `context` is its length in tokens, None where it does not tell;
    `verdicts` says how it judges, None where it was not asked to."""

    spec: str
    context: int | None = None
    reasons: bool = False
    """Whether it thinks before it answers."""
    system: Literal["first", "folded"] = "first"
    """Whether system turns go first, or become part of the first user turn."""
    verdicts: str | None = None
    notes: tuple[str, ...] = ()
    """What was learned of how to ask it."""

    def as_dict(self) -> dict[str, Any]:
        """As a manifest holds it."""
        return {name: value for name, value in asdict(self).items() if value}
