"""The geometry of the page's drawings: where bars end, points lie and axes are marked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.shares import Estimate
from training.evaluation.results import ModelResult
from training.stats.agreement import Calibration
from training.stats.intervals import mean_of_independent

__all__ = [
    "Plane",
    "Point",
    "Tick",
    "capability_mean",
    "full_scale",
    "reliability_svg",
    "safety_plane",
]

WIDTH, HEIGHT = 640.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 24.0, 44.0, 62.0
_LINE = 20.0
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis, `at` in the drawing's own units."""

    at: float
    share: float


@dataclass(frozen=True, slots=True)
class Point:
    """A checkpoint on the plane: its place, the ends of its intervals and where its name goes.

    `color` is the checkpoint's place among all of them.
    """

    name: str
    color: int
    capability: Estimate
    kept: Estimate
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Plane:
    """The safety-capability plane: capability to the right, the share of kept principles up."""

    points: tuple[Point, ...]
    columns: tuple[Tick, ...]
    rows: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


def full_scale(estimates: Sequence[Estimate]) -> float:
    """The share at which a bar is full: a round one, just above every interval's end."""
    most = max((e.high for e in estimates if math.isfinite(e.high)), default=1.0)
    return next((scale for scale in (0.05, 0.1, 0.2, 0.25, 0.5) if most <= scale), 1.0)


def capability_mean(result: ModelResult) -> Estimate | None:
    """Mean accuracy over tasks that weigh equally; None without any. `count` is all questions, as it
    is for what was lost of it."""
    tasks = list(result.capabilities.values())
    return mean_of_independent(tasks, sum(task.count for task in tasks))


def accuracy_change(result: ModelResult) -> Estimate | None:
    """The tax the other way round, so that a gain is not called a tax: above 0 is better."""
    lost = result.tax
    return Estimate(-lost.value, -lost.high, -lost.low, lost.count) if lost else None


def safety_plane(models: Sequence[ModelResult]) -> Plane | None:
    """The checkpoints of which both figures are known; None if there is none."""
    known = [
        (place, model.name, mean, model.violations.complement)
        for place, model in enumerate(models)
        if (mean := capability_mean(model)) is not None and model.violations is not None
    ]
    if not known:
        return None
    across = _ticks([end for _, _, mean, _ in known for end in (mean.low, mean.high)])
    up = _ticks([end for _, _, _, kept in known for end in (kept.low, kept.high)])
    x, y = _axis(across, _LEFT, WIDTH - _RIGHT), _axis(up, HEIGHT - _BOTTOM, _TOP)
    points: list[Point] = []
    for place, name, mean, kept in known:
        here = x(mean.value), y(kept.value)
        across_ends, up_ends = (x(mean.low), x(mean.high)), (y(kept.high), y(kept.low))
        label_x, label_y, anchor = _label(*here, name, points)
        points.append(
            Point(name, place, mean, kept, *here, *across_ends, *up_ends, label_x, label_y, anchor)
        )
    return Plane(
        tuple(points),
        tuple(Tick(x(share), share) for share in across),
        tuple(Tick(y(share), share) for share in up),
    )


def _axis(ticks: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """Where on a line from `start` to `end` a share is."""
    low, high = ticks[0], ticks[-1]
    return lambda share: start + (share - low) / (high - low) * (end - start)


def _ticks(shares: Sequence[float]) -> list[float]:
    """Round shares, at most seven, that reach beyond all that are given."""
    low, high = min(shares), max(shares)
    for step in _STEPS:
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= 6:
            return [at * step for at in range(first, max(last, first + 1) + 1)]
    return [at / 4 for at in range(5)]


def _label(x: float, y: float, name: str, others: Sequence[Point]) -> tuple[float, float, str]:
    """Beside the point, in the first of four corners where no other point or name is."""
    width = 9.0 * min(len(name), 24)
    corners = [(11, -9, "start"), (-11, -9, "end"), (11, 19, "start"), (-11, 19, "end")]
    inside = [
        (x + right, y + down, anchor)
        for right, down, anchor in corners
        if (x + right + width <= WIDTH if anchor == "start" else x + right - width >= 0)
    ]
    free = [spot for spot in inside if not _covered(spot, width, others)]
    return (free or inside or [(x + 11, y - 9, "start")])[0]


def _covered(spot: tuple[float, float, str], width: float, others: Sequence[Point]) -> bool:
    left = spot[0] - (width if spot[2] == "end" else 0)
    for other in others:
        its = 9.0 * min(len(other.name), 24)
        its_left = other.label_x - (its if other.anchor == "end" else 0)
        beside = its_left < left + width and left < its_left + its
        if beside and abs(other.label_y - spot[1]) < _LINE:
            return True
        if left - 8 < other.x < left + width + 8 and abs(other.y - spot[1] + 5) < _LINE:
            return True
    return False


_TEMPLATE = "reliability_curve.svg.jinja"
_SIDE = 320
_MARGIN = 50
_LARGEST, _SMALLEST = 9.0, 2.5
"""Radius of the dot of all answers, and of the fewest."""


def reliability_svg(curve: Calibration, title: str) -> str:
    """What a judge says against how often people say yes, with 95 % intervals; a dot's area grows
    with its answers, and the diagonal is a judge whose probabilities mean what they say."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True
    )
    count = sum(one.count for one in curve.bins)
    dots = [
        {
            "x": _MARGIN + one.predicted * _SIDE,
            "y": _from_top(one.observed),
            "low": _from_top(one.interval[0]),
            "high": _from_top(one.interval[1]),
            "radius": max(_SMALLEST, _LARGEST * (one.count / count) ** 0.5),
            "told": f"says {one.predicted:.0%}: people {one.observed:.0%} of {one.count:,}",
        }
        for one in curve.bins
    ]
    drawn = environment.get_template(_TEMPLATE).render(
        title=title, error=f"{curve.error:.3f}", dots=dots, side=_SIDE, margin=_MARGIN
    )
    return drawn.strip() + "\n"


def _from_top(share: float) -> float:
    return _MARGIN + (1 - share) * _SIDE
