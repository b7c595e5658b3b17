"""Curves of over-optimisation as drawings: KL to the right, gains over one answer up."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.shares import Estimate
from training.evaluation.page.wording import Unit, figure, number
from training.stats.best_of_n import OverOptimisation

__all__ = ["CurveDrawing", "curve_drawings"]

_WIDTH, _HEIGHT = 640.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 68.0, 24.0, 44.0, 56.0


@dataclass(frozen=True, slots=True)
class CurveDrawing:
    """A curve, its two lines as SVG paths, the bands of their intervals, the marks of its axes (place
    and words), and its rows as a table."""

    curve: OverOptimisation
    proxy: str
    gold: str
    proxy_band: str
    gold_band: str
    columns: tuple[tuple[float, str], ...]
    rows: tuple[tuple[float, str], ...]
    table: tuple[tuple[str, ...], ...]
    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = _HEIGHT - _BOTTOM


def curve_drawings(curves: Sequence[OverOptimisation]) -> list[CurveDrawing]:
    """Those with more than one point."""
    return [_drawing(curve) for curve in curves if len(curve.points) > 1]


def _drawing(curve: OverOptimisation) -> CurveDrawing:
    points = curve.points
    ends = [end for p in points for e in (p.proxy, p.gold) for end in (e.low, e.high)]
    low, high, far = min(ends), max(ends), points[-1].kl

    def x(kl: float) -> float:
        return round(_LEFT + kl / far * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        share = (value - low) / ((high - low) or 1.0)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP), 1)

    def line(values: Sequence[tuple[float, float]]) -> str:
        return "M" + "L".join(f"{x(kl)} {y(value)}" for kl, value in values)

    def band(estimates: Sequence[tuple[float, Estimate]]) -> str:
        above = [(kl, e.high) for kl, e in estimates]
        below = [(kl, e.low) for kl, e in reversed(estimates)]
        return line([*above, *below]) + "Z"

    proxy, gold = ([(p.kl, getattr(p, name)) for p in points] for name in ("proxy", "gold"))
    marks = [low + step * (high - low) / 4 for step in range(5)]
    return CurveDrawing(
        curve,
        proxy=line([(kl, e.value) for kl, e in proxy]),
        gold=line([(kl, e.value) for kl, e in gold]),
        proxy_band=band(proxy),
        gold_band=band(gold),
        columns=tuple((x(p.kl), str(p.n)) for p in points),
        rows=tuple((y(mark), number(mark)) for mark in marks),
        table=tuple(
            (str(p.n), number(p.kl), *map(_cell, (p.proxy, p.gold, p.tokens))) for p in points
        ),
    )


def _cell(estimate: Estimate) -> str:
    told = figure(estimate, Unit.NUMBER)
    return f"{told.value} ({told.interval})" if told else ""
