"""What a judge is worth on a constitution's own tests, and how its verdicts are read because of it.

A judge that says Yes to everything is of use if it says so more strongly where it is true: what lies
above its own middle counts as a violation. The middle is the threshold of a linear discriminant
with equal variances, on the log-odds (Hastie et al. 2009, section 4.3), between the violating answers
and the nearer of two kinds that keep the principle: those of its own tests, and those of others' tests,
as most answers that it will be asked about concern something else. A principle's own middle, of few
answers, is shrunk towards that of all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from statistics import fmean
from typing import Any

from engine.shares import wilson_interval

__all__ = ["FEWEST", "UNCALIBRATED", "Calibration", "TestedAnswer", "calibration_of", "log_odds"]

FEWEST = 10
"""Answers of each kind from which a judge can be told from chance."""
_FEWEST_OF_ONE = 3
"""Answers of each kind from which a principle's own figure is shown."""
_SHRINKAGE = 4.0
"""Answers that the middle of all principles counts for, beside those of one."""
_EDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a judge is read: log-odds taken from its own, by principle and for any other principle.

    `auc` is the share of pairs of an answer that violates a principle and one that keeps it in which
    the violating one is the likelier violation, with its 95 % interval, as of a share among the
    answers of the rarer kind: wider than the truth, as every answer meets several. None where there
    are too few.
    """

    shifts: Mapping[str, float] = field(default_factory=dict)
    shift: float = 0.0
    auc: float | None = None
    low: float = 0.0
    high: float = 1.0
    answers: int = 0
    """That the judge gave a verdict on."""
    by_principle: Mapping[str, float] = field(default_factory=dict)
    """Principle to its own AUC, where it has enough answers."""
    made_for: Mapping[str, str] = field(default_factory=dict)
    """Principle to a hash of what the judge was asked about it."""

    def adjusted(self, principle: str, probability: float) -> float:
        """The calibrated probability; 0 and 1 stay what they are."""
        shift = self.shifts.get(principle, self.shift)
        if not shift or not 0 < probability < 1:
            return probability
        return 1 / (1 + exp(shift - log_odds(probability)))

    @property
    def tells_apart(self) -> bool | None:
        """Whether the judge beats chance beyond its interval; None where that is not known."""
        return None if self.auc is None else self.low > 0.5

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        if self.auc is None:
            return {"calibrated": False, "answers": self.answers}
        own = {name: round(value, 4) for name, value in self.by_principle.items()}
        return {
            "calibrated": True,
            "answers": self.answers,
            "auc": round(self.auc, 4),
            "interval": [round(self.low, 4), round(self.high, 4)],
            "auc_by_principle": own,
            "shift": self.shift,
            "shifts": dict(self.shifts),
            "made_for": dict(self.made_for),
        }


UNCALIBRATED = Calibration()


@dataclass(frozen=True, slots=True)
class TestedAnswer:
    """A test's answer, and the probability that it breaks a principle by the judge."""

    principle: str
    violating: bool
    probability: float
    elsewhere: bool = False
    """Whether it comes from another principle's tests."""


def log_odds(probability: float) -> float:
    """Of a probability, kept from the edges."""
    inside = min(max(probability, _EDGE), 1 - _EDGE)
    return log(inside / (1 - inside))


def calibration_of(answers: Sequence[TestedAnswer]) -> Calibration:
    """The calibration that a judge's verdicts on tests give; none from fewer than `FEWEST` answers of
    a kind, those from elsewhere not counted."""
    kinds = _Kinds(answers)
    if min(len(kinds.violating), len(kinds.compliant)) < FEWEST:
        return Calibration(answers=len(answers))
    shift = kinds.middle
    shifts, own = {}, {}
    won = pairs = 0.0
    for principle in dict.fromkeys(answer.principle for answer in answers):
        ones = _Kinds([a for a in answers if a.principle == principle])
        if not ones.violating or not ones.compliant:
            continue
        count = len(ones.violating) + len(ones.compliant)
        shifts[principle] = round(
            (count * ones.middle + _SHRINKAGE * shift) / (count + _SHRINKAGE), 4
        )
        won, pairs = won + ones.wins, pairs + ones.pairs
        if min(len(ones.violating), len(ones.compliant)) >= _FEWEST_OF_ONE:
            own[principle] = ones.wins / ones.pairs
    if not pairs:
        return Calibration(answers=len(answers))
    auc = won / pairs
    low, high = wilson_interval(auc, min(len(kinds.violating), len(kinds.compliant)))
    return Calibration(shifts, round(shift, 4), auc, low, high, len(answers), own)


class _Kinds:
    """Log-odds of answers that violate, of those that do not, and of those from elsewhere."""

    def __init__(self, answers: Sequence[TestedAnswer]) -> None:
        def of(violating: bool, elsewhere: bool) -> list[float]:
            kind = (violating, elsewhere)
            return [log_odds(a.probability) for a in answers if (a.violating, a.elsewhere) == kind]

        self.violating = of(True, False)
        self.compliant = of(False, False)
        self.elsewhere = of(False, True)

    @property
    def middle(self) -> float:
        kept = max(fmean(side) for side in (self.compliant, self.elsewhere) if side)
        return (fmean(self.violating) + kept) / 2

    @property
    def pairs(self) -> int:
        return len(self.violating) * (len(self.compliant) + len(self.elsewhere))

    @property
    def wins(self) -> float:
        """Pairs in which the violating answer is the higher; half of a tie (Mann & Whitney 1947)."""
        kept = (*self.compliant, *self.elsewhere)
        return sum((v > k) + 0.5 * (v == k) for v in self.violating for k in kept)
