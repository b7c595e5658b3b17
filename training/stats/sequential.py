"""Has a rate risen? A test that may be looked at every day, without a false alarm for each look.

The statistic is a ratio of probabilities of the days seen so far: that they have with a rise, over a
mixture of the day it began (weights 1/(j(j+1))) and of its size, and without one. It is a martingale
where nothing rose, so that the chance of its ever exceeding 1/alpha is at most alpha (Ville 1939;
Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference", section 3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.stats.intervals import check_scipy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Day", "Rise", "rise_since"]

_ODDS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""By how much the odds may have risen; each has the same weight."""
_POINTS = 512
"""At which the baseline's posterior is integrated, of equal probability."""
_MOST = 300.0


@dataclass(frozen=True, slots=True)
class Day:
    """How many of a day's trials were hits."""

    hits: int
    trials: int


@dataclass(frozen=True, slots=True)
class Rise:
    """What the days say. `evidence` is the greatest there has been, a factor against "no rise"; the
    alarm is on `alarm`, the first day (counted from 0) on which it exceeds 1/alpha; `since` is the day
    from which the rate most likely has been higher, as seen on that day or else on the last."""

    evidence: float = 1.0
    alarm: int | None = None
    since: int = 0


def rise_since(baseline: Day, days: Sequence[Day], alpha: float = 0.05) -> Rise:
    """Whether the rate on `days` is higher than in the baseline, which is itself a sample.

    The chance of an alarm where it is not is at most `alpha`, however many days are looked at: on
    average over the rates that the baseline leaves possible, which are those of its posterior under
    Jeffreys' prior. Raises InputError where scipy is missing.
    """
    check_scipy()
    import numpy as np

    points = _posterior(baseline)
    hit, miss = np.log(points), np.log1p(-points)
    odds = np.multiply.outer(np.asarray(_ODDS), points / (1 - points))
    higher = odds / (1 + odds)
    higher_hit, higher_miss = np.log(higher), np.log1p(-higher)
    same = np.zeros_like(points)
    risen: list[Array] = []
    """Of each day on which the rate may have risen: log-likelihoods by size of the rise and point."""
    best, alarm, since = 0.0, None, 0
    for number, day in enumerate(days):
        missed = day.trials - day.hits
        risen.append(np.tile(same, (len(_ODDS), 1)))
        for logs in risen:
            logs += day.hits * higher_hit + missed * higher_miss
        same += day.hits * hit + missed * miss
        shares = [_log_mean(logs) - math.log((j + 1) * (j + 2)) for j, logs in enumerate(risen)]
        evidence = float(np.logaddexp.reduce(shares)) - _log_mean(same)
        best = max(best, evidence)
        if alarm is None:
            since = int(np.argmax(shares))
            alarm = number if evidence >= -math.log(alpha) else None
    return Rise(math.exp(min(best, _MOST)), alarm, since)


def _posterior(baseline: Day) -> "Array":
    """Rates of equal probability under the baseline and Jeffreys' prior."""
    import numpy as np
    from scipy.stats import beta

    middles = (np.arange(_POINTS) + 0.5) / _POINTS
    missed = baseline.trials - baseline.hits
    points = beta.ppf(middles, baseline.hits + 0.5, missed + 0.5)
    found: Array = np.clip(points, 1e-9, 1 - 1e-9)
    return found


def _log_mean(logs: "Array") -> float:
    """The logarithm of the mean of what these are the logarithms of."""
    import numpy as np

    top = float(logs.max())
    return top + float(np.log(np.exp(logs - top).mean()))
