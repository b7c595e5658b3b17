"""How far a judge's probabilities are moved, before a threshold is held against them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log

__all__ = ["UNCALIBRATED", "Calibration"]

_EDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log-odds that are taken from a judge's, by principle id and for every other question.

    A judge that says Yes to everything is of use if it says so more strongly where it is true: what
    lies above its own middle counts as a violation (Platt 1999, with the slope left at 1).
    """

    shifts: Mapping[str, float] = field(default_factory=dict)
    shift: float = 0.0
    """Of a principle that has none of its own."""

    def adjusted(self, principle: str, probability: float) -> float:
        """The calibrated probability; 0 and 1 stay what they are."""
        shift = self.shifts.get(principle, self.shift)
        if not shift or not 0 < probability < 1:
            return probability
        inside = min(max(probability, _EDGE), 1 - _EDGE)
        return 1 / (1 + exp(shift - log(inside / (1 - inside))))


UNCALIBRATED = Calibration()
