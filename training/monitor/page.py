"""The page of `solon monitor`: one file that runs no script and asks nothing of the network."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment

from engine.report.assets import PARTS, asset, page_environment
from engine.shares import Estimate
from training.monitor.watched import Signal, Watched

__all__ = ["monitor_page"]

_HERE = Path(__file__).parent
_WIDTH, _HEIGHT, _EDGE = 220, 44, 3
_MOST_EVIDENCE = 1e6
"""Above it, nobody asks how much."""


@dataclass(frozen=True, slots=True)
class _Rate:
    value: str
    interval: str
    count: str

    @classmethod
    def of(cls, rate: Estimate) -> "_Rate":
        return cls(f"{rate.value:.1%}", f"{rate.low:.1%} to {rate.high:.1%}", f"{rate.count:,}")


@dataclass(frozen=True, slots=True)
class _Row:
    """A signal as the page shows it: `line` are the points of its rates by day, and `baseline` the
    height of the rate before, in one scale; `spoken` says the same to who cannot see it."""

    signal: Signal
    before: _Rate
    now: _Rate
    evidence: str
    line: str
    baseline: str
    spoken: str


def monitor_page(watched: Watched, title: str) -> str:
    """The whole page; alarms first, then by how much speaks for a rise."""
    ordered = sorted(watched.signals, key=lambda one: (one.rise.alarm is None, -one.rise.evidence))
    template = _environment().get_template("monitor.html.jinja")
    return template.render(
        title=title,
        watched=watched,
        rows=[_row(one) for one in ordered],
        alarms=[one for one in ordered if one.rise.alarm is not None],
        size=(_WIDTH, _HEIGHT),
        style=asset(PARTS / "style.css"),
        script=asset(),
    )


@cache
def _environment() -> Environment:
    return page_environment(_HERE)


def _row(signal: Signal) -> _Row:
    rates = [day.hits / day.trials for day in signal.days.values() if day.trials]
    before = signal.before.value
    top = max([*rates, before]) or 1.0
    step = _WIDTH / max(1, len(rates) - 1)
    points = (f"{at * step:.1f},{_height(rate / top)}" for at, rate in enumerate(rates))
    evidence = signal.rise.evidence
    return _Row(
        signal=signal,
        before=_Rate.of(signal.before),
        now=_Rate.of(signal.now),
        evidence=f"{evidence:,.0f}" if evidence < _MOST_EVIDENCE else f"over {_MOST_EVIDENCE:,.0f}",
        line=" ".join(points),
        baseline=_height(before / top),
        spoken=f"by day: {', '.join(f'{rate:.0%}' for rate in rates)}; before: {before:.0%}",
    )


def _height(share: float) -> str:
    """Of what is this share of the highest rate, from the top, in pixels."""
    return f"{_HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE):.1f}"
