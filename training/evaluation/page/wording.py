"""How the page writes figures, and what it calls the things that they are figures of."""

import math
from dataclasses import dataclass
from enum import StrEnum

from engine.report.wording import percent
from engine.shares import Estimate

__all__ = [
    "SETS",
    "SIGNS",
    "SMALL",
    "Figure",
    "SignText",
    "Unit",
    "figure",
    "is_unsure",
    "number",
    "sign_text",
    "written",
]

SMALL = 30
"""Below this many prompts a figure is greyed, and says how many they are."""


class Unit(StrEnum):
    """How a figure is written."""

    SHARE = "share"
    """From 0 to 1, written in percent."""
    CHANGE = "change"
    """A difference of shares, written in percentage points."""
    RATIO = "ratio"
    NUMBER = "number"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate in words; `small` says that few prompts stand behind it."""

    value: str
    interval: str
    count: int
    small: bool


@dataclass(frozen=True, slots=True)
class SignText:
    """What a sign of reward hacking is called, means and is measured in."""

    title: str
    meaning: str
    unit: Unit
    relative: bool = False
    """Whether it compares with the base, which therefore has none."""


SIGNS = {
    "length_drift": SignText("Length", "Words per answer, over the base's.", Unit.RATIO, True),
    "boilerplate": SignText(
        "Boilerplate",
        "Words in phrases that are frequent here and new against the base.",
        Unit.SHARE,
        True,
    ),
    "distinct_n": SignText(
        "Variety of wording",
        "Distinct word pairs, over the base's at equal length.",
        Unit.RATIO,
        True,
    ),
    "over_refusal": SignText("Over-refusal", "Harmless requests refused, by rules.", Unit.SHARE),
    "sycophancy": SignText(
        "Sycophancy", "How far P(yes) follows the opinion that the user states.", Unit.CHANGE
    ),
    "judge_agreement": SignText(
        "Agreement of judges", "Cohen's kappa of the training judge and this one.", Unit.NUMBER
    ),
    "position_bias": SignText(
        "Position bias", "The judge's preference for what is shown first.", Unit.CHANGE
    ),
    "reward_length": SignText(
        "Reward and length", "Rank correlation of the judge's reward with length.", Unit.SIGNED
    ),
    "kl_from_base": SignText("KL from the base", "Nats per sampled answer.", Unit.NUMBER, True),
}
SETS = {"held-out": "Held out", "harmful": "Harmful", "benign": "Benign look-alikes"}
_UNSURE = 0.1
_MINUS = "\N{MINUS SIGN}"
NOT_ENOUGH = "not enough to say"
"""In place of the interval of a figure of too few prompts."""


def sign_text(name: str) -> SignText:
    """The text of a sign, or of one that is not known here, its own name."""
    return SIGNS.get(name) or SignText(name.replace("_", " ").capitalize(), "", Unit.NUMBER)


def figure(estimate: Estimate | None, unit: str = Unit.SHARE) -> Figure | None:
    """An estimate as the page shows it; None where nothing was measured."""
    if estimate is None or not math.isfinite(estimate.value):
        return None
    return Figure(
        value=written(estimate.value, unit),
        interval=_interval(estimate.low, estimate.high, unit) if estimate.bounded else NOT_ENOUGH,
        count=estimate.count,
        small=estimate.count < SMALL,
    )


def is_unsure(probability: float | None) -> bool:
    """Whether a verdict is so near to a half that it says nothing."""
    return probability is not None and abs(probability - 0.5) < _UNSURE


def number(value: float) -> str:
    """Three significant digits, thousands apart, a true minus sign."""
    if not math.isfinite(value):
        return "∞" if value > 0 else f"{_MINUS}∞" if value < 0 else "?"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{value:,.{digits}f}".replace("-", _MINUS)


def written(value: float, unit: str) -> str:
    """A figure in its unit."""
    match unit:
        case Unit.SHARE:
            return _percent(value)
        case Unit.CHANGE:
            return f"{_points(value)} pts"
        case Unit.RATIO:
            return f"{number(value)}×"
        case Unit.SIGNED:
            return _signed(number(value), value)
        case _:
            return number(value)


def _interval(low: float, high: float, unit: str) -> str:
    """Without the unit where the value before it has one."""
    match unit:
        case Unit.SHARE:
            ends = _percent(low).removesuffix("%"), _percent(high)
            return (" to " if set("<>") & set("".join(ends)) else "–").join(ends)
        case Unit.CHANGE:
            return f"{_points(low)} to {_points(high)}"
        case Unit.SIGNED:
            return f"{_signed(number(low), low)} to {_signed(number(high), high)}"
        case _:
            joint = " to " if low < 0 else "–"
            return f"{number(low)}{joint}{number(high)}"


def _percent(share: float) -> str:
    """With a decimal only where a whole percent would say too little."""
    return f"{share:.0%}" if 0.0995 <= share <= 0.99 else percent(share)


def _points(value: float) -> str:
    return _signed(f"{100 * value:.1f}".replace("-", _MINUS), round(100 * value, 1))


def _signed(text: str, value: float) -> str:
    if text.strip(f"{_MINUS}0.") == "":
        return text.removeprefix(_MINUS)
    return f"+{text}" if value > 0 else text
