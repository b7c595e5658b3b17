"""A reliability curve as a self-contained SVG, in the colours of light and of dark pages."""

from pathlib import Path

from training.stats.agreement import Calibration

__all__ = ["reliability_svg"]

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
