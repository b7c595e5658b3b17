"""What a report says in plain words, and how it writes numbers."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from constitution.problems import visible
from engine.records import DropReason, Flag, Outcome

__all__ = [
    "DROPPED_BECAUSE",
    "FLAGGED_BECAUSE",
    "OUTCOMES",
    "decimal",
    "duration",
    "in_words",
    "judge_note",
    "percent",
    "reason_counts",
    "setting_rows",
    "visible",
]

DROPPED_BECAUSE = {
    DropReason.NO_PRINCIPLE_APPLIES: "No principle of the constitution applies to the prompt.",
    DropReason.CONTEXT_OVERFLOW: "The conversation grew longer than the model can read.",
    DropReason.NOT_BETTER: "The revision breaks its principle no less than the answer before it.",
    DropReason.BREAKS_ANOTHER: "The revision breaks a principle that the answer before it kept.",
    DropReason.DOES_NOT_ANSWER: "The revision speaks less to what the user asked than the answer did.",
    DropReason.EMPTY_ANSWER: "The policy answered nothing, so there was nothing to revise.",
    DropReason.EMPTY_CRITIQUE: "The critic wrote nothing for the reviser to go by.",
    DropReason.NOTHING_FOUND: "The critic found nothing to criticise.",
    DropReason.CRITIC_REFUSED: "The critic declined to criticise, as if asked for the deed itself.",
    DropReason.EMPTY_REVISION: "Nothing was left of the revision once it was cleaned.",
    DropReason.UNCHANGED_REVISION: "The reviser repeated the answer word for word.",
    DropReason.TRUNCATED_REVISION: "The revision ran into its token limit before it ended.",
    DropReason.OVERLONG_REVISION: "The revision is many times longer than the answer.",
    DropReason.CRITIQUE_LEAK: "The revision repeats the critique.",
    DropReason.SPEAKS_AS_REVIEWER: "The revision speaks about the reply or the user, not to them.",
    DropReason.COPIED_REQUEST: "The revision copies the request or one of its examples.",
    DropReason.HOLDS_TRANSCRIPT: "The revision holds turns or tags of a transcript.",
    DropReason.PLACEHOLDER: "The revision is a placeholder, or has gaps left to fill in.",
    DropReason.ECHOES_PROMPT: "The revision says the user's words back instead of answering.",
    DropReason.REPEATS_ITSELF: "The revision repeats a sentence or a phrase again and again.",
    DropReason.OTHER_LANGUAGE: "The revision is in another language than prompt and answer.",
}
FLAGGED_BECAUSE = {
    Flag.TRUNCATED_ANSWER: "The first answer ran into its token limit.",
    Flag.TRUNCATED_CRITIQUE: "The critique ran into its token limit.",
    Flag.TRUNCATED_REVISION: "The revision ran into its token limit.",
    Flag.PREAMBLE_REMOVED: "An introduction such as “Sure, here is …” was cut from the revision.",
    Flag.NOTE_REMOVED: "A closing note about the revision itself was cut from it.",
    Flag.REASONING_REMOVED: "The model's thinking was cut from its output.",
}
OUTCOMES = {
    Outcome.REVISED: "A usable revision came of it.",
    Outcome.COMPLIANT: "The judge found nothing to revise.",
    Outcome.UNRESOLVED: "The answer breaks a principle, or could not be judged, and no better one came.",
    Outcome.DROPPED: "No usable revision came of it.",
}


def percent(share: float | None) -> str:
    """`12%`, `0.4%`, or a dash where there is nothing to take a share of.

    Only none is `0%` and only all is `100%`.
    """
    if share is None:
        return "–"
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    digits = 1 if 0 < share < 0.0995 or 0.9 < share < 1 else 0
    return f"{share:.{digits}%}"


def in_words(reason: str) -> str:
    """A reason as users read it: `too long` of `too_long`."""
    return reason.replace("_", " ")


def reason_counts(reasons: Counter[Any]) -> str:
    """How often each reason occurred, the most frequent first: `too long 12, empty answer 3`."""
    return ", ".join(f"{in_words(reason)} {count:,}" for reason, count in reasons.most_common())


def decimal(number: float | None) -> str:
    """`1,234`, `0.42`, or a dash where there is no number."""
    if number is None:
        return "–"
    return f"{number:,}" if isinstance(number, int) else f"{number:,.2f}"


def judge_note(calibration: Mapping[str, Any]) -> str:
    """What the constitution's own tests said of a run's judge, by its manifest; empty where no judge
    decided anything."""
    if not calibration:
        return ""
    if not calibration.get("calibrated"):
        return (
            "The judge is not calibrated: the constitution has too few tests that it could decide."
        )
    elsewhere = calibration.get("elsewhere")
    by = f", read from {calibration['verdicts_from']}," if "verdicts_from" in calibration else ""
    told = (
        f"The judge{by} was calibrated on {calibration['answers']:,} answers of the constitution's "
        f"own tests: AUC {_with_interval(calibration)}"
    )
    if elsewhere:
        told += f", and {_with_interval(elsewhere)} against answers about something else"
    lows = [each["interval"][0] for each in (calibration, elsewhere) if each]
    noise = " It cannot tell violating answers apart: its verdicts are noise."
    return f"{told}." if min(lows) > 0.5 else f"{told}.{noise}"


def _with_interval(separation: Mapping[str, Any]) -> str:
    """`0.71, 95 % interval 0.53 to 0.85`, of an AUC in a manifest."""
    low, high = separation["interval"]
    return f"{separation['auc']:.2f}, 95 % interval {low:.2f} to {high:.2f}"


def duration(seconds: float | None) -> str:
    """Seconds for people: `45 s`, `3 min 20 s`, `2 h 05 min`; `unknown` for None."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def setting_rows(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value) pairs."""
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            rows += setting_rows(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append((f"{prefix}{key}", text))
    return rows
