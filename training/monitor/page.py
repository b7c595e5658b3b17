"""The page of `solon monitor`: one file that runs no script and asks nothing of the network."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment

from engine.report.assets import PARTS, asset, page_environment
from engine.shares import Estimate
from training.monitor.watched import Signal, Watched
from training.stats.sequential import Day

__all__ = ["monitor_page"]

_HERE = Path(__file__).parent
_WIDTH, _HEIGHT = 160, 28


@dataclass(frozen=True, slots=True)
class _Row:
    """A signal as the page shows it. `line` are the points of its rates by day."""

    signal: Signal
    before: str
    now: str
    line: str


def monitor_page(watched: Watched, title: str) -> str:
    """The whole page; alarms first, then by how much speaks for a rise."""
    ordered = sorted(watched.signals, key=lambda one: (one.rise.alarm is None, -one.rise.evidence))
    rows = [
        _Row(one, _told(one.before), _told(one.now), _line(one.days.values())) for one in ordered
    ]
    template = _environment().get_template("monitor.html.jinja")
    return template.render(
        title=title,
        watched=watched,
        rows=rows,
        alarms=[row for row in rows if row.signal.rise.alarm is not None],
        size=(_WIDTH, _HEIGHT),
        style=asset(PARTS / "style.css"),
        script=asset(),
    )


@cache
def _environment() -> Environment:
    return page_environment(_HERE)


def _told(rate: Estimate) -> str:
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}] of {rate.count:,}"


def _line(days: Iterable[Day]) -> str:
    """Points of a line from the first day to the last, scaled to the highest rate."""
    rates = [day.hits / day.trials for day in days if day.trials]
    top = max(rates, default=0.0) or 1.0
    step = _WIDTH / max(1, len(rates) - 1)
    return " ".join(
        f"{at * step:.1f},{_HEIGHT - 2 - rate / top * (_HEIGHT - 4):.1f}"
        for at, rate in enumerate(rates)
    )
