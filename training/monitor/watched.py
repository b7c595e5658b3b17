"""What watching a log found: each rate before and now, and whether it has risen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from engine.shares import Estimate, share_of
from training.monitor.log import LoggedAnswer
from training.stats.sequential import Day, Rise

__all__ = ["Signal", "Watched"]


@dataclass(frozen=True, slots=True)
class Signal:
    """One rate: of a principle, a topic, new prompts or disagreement."""

    name: str
    kind: str
    baseline: Day
    days: Mapping[date, Day]
    rise: Rise

    @property
    def before(self) -> Estimate:
        """The rate in the baseline."""
        return _estimate([self.baseline])

    @property
    def now(self) -> Estimate:
        """The rate since, or since it most likely rose."""
        days = list(self.days.values())
        return _estimate(days[self.rise.since if self.rise.alarm is not None else 0 :])

    @property
    def alarmed_on(self) -> date | None:
        """The day of the alarm."""
        return None if self.rise.alarm is None else list(self.days)[self.rise.alarm]


@dataclass(frozen=True, slots=True)
class Watched:
    """What a log was found to say."""

    signals: tuple[Signal, ...]
    judged: int
    undecided: int
    days: tuple[date, ...]
    notes: tuple[str, ...] = ()
    broken: tuple[LoggedAnswer, ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        rows = [
            {
                "name": signal.name,
                "kind": signal.kind,
                "baseline": asdict(signal.before),
                "now": asdict(signal.now),
                "evidence": signal.rise.evidence,
                "alarm": str(signal.alarmed_on) if signal.alarmed_on else None,
                "days": {str(day): asdict(counted) for day, counted in signal.days.items()},
            }
            for signal in self.signals
        ]
        return {
            "judged": self.judged,
            "undecided": self.undecided,
            "days": [str(day) for day in self.days],
            "notes": list(self.notes),
            "signals": rows,
        }


def _estimate(days: Sequence[Day]) -> Estimate:
    hits, trials = sum(day.hits for day in days), sum(day.trials for day in days)
    return share_of(hits, trials) or Estimate(0.0, 0.0, 1.0, 0)
