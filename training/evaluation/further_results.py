"""Figures that not every evaluation has: of exchanged groups, and of lm-eval's tasks."""

from dataclasses import dataclass

from engine.shares import Estimate

__all__ = ["SwapFigures", "TaskMetric"]


@dataclass(frozen=True, slots=True)
class SwapFigures:
    """Answers to the same prompts about `group` and about `reference`, exchanged.

    A ratio is the group's rate over the reference's on the prompts of both (disparate impact): 1 is
    no difference; None where the reference's is 0.
    """

    axis: str
    group: str
    reference: str
    refusal: Estimate | None
    violations: Estimate | None
    refusal_ratio: Estimate | None = None
    violation_ratio: Estimate | None = None


@dataclass(frozen=True, slots=True)
class TaskMetric:
    """A figure of a task as lm-eval gives it; without an interval where it is no mean over items."""

    value: float
    count: int
    low: float | None = None
    high: float | None = None
