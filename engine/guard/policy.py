"""What is done with an answer, by the severity of what it breaks and of what could not be judged."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from constitution.schema import Constitution, Severity
from engine.records import Verdict

__all__ = [
    "Action",
    "Decision",
    "OnBreach",
    "OnFailure",
    "SeverityName",
    "decide",
    "severities_of",
]

SeverityName = Literal["low", "medium", "high", "critical"]
Action = Literal["pass", "revise", "refuse", "hold"]
"""Deliver the answer, revise it live, give the refusal in its place, or keep it for a person. Of
several principles the last of these in this order counts."""
Failing = Literal["open", "closed"]
"""Deliver what could not be judged, or refuse it."""

_ORDER: tuple[Action, ...] = get_args(Action)


def _laid_over(defaults: Mapping[str, str]) -> BeforeValidator:
    """Reads `high=refuse,low=pass`, or a mapping, over the defaults. Raises ValueError."""

    def read(given: Any) -> Any:
        if isinstance(given, str):
            parts = [part.partition("=") for part in given.split(",") if part.strip()]
            given = {name.strip(): value.strip() for name, _, value in parts}
        return {**defaults, **given} if isinstance(given, Mapping) else given

    return BeforeValidator(read)


BREACHES: Mapping[SeverityName, Action] = {
    "low": "pass",
    "medium": "revise",
    "high": "revise",
    "critical": "refuse",
}
FAILURES: Mapping[SeverityName, Failing] = {
    "low": "open",
    "medium": "open",
    "high": "closed",
    "critical": "closed",
}
OnBreach = Annotated[Mapping[SeverityName, Action], _laid_over(BREACHES)]
OnFailure = Annotated[Mapping[SeverityName, Failing], _laid_over(FAILURES)]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done, and because of which principles."""

    action: Action = "pass"
    broken: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()


def severities_of(constitution: Constitution) -> dict[str, Severity]:
    """Principle id to how much it matters."""
    return {principle.id: principle.severity for principle in constitution.principles}


def decide(
    verdicts: Iterable[Verdict],
    severities: Mapping[str, Severity],
    on_breach: Mapping[SeverityName, Action],
    on_failure: Mapping[SeverityName, Failing],
) -> Decision:
    """The strictest of what the verdicts ask for: a breach by `on_breach`; a principle that could not
    be judged is refused where `on_failure` is closed."""
    actions: list[Action] = ["pass"]
    broken, undecided = [], []
    for verdict in verdicts:
        severity: SeverityName = severities[verdict.principle].value
        if verdict.violates:
            broken.append(verdict.principle)
            actions.append(on_breach[severity])
        elif verdict.violates is None:
            undecided.append(verdict.principle)
            actions.append("refuse" if on_failure[severity] == "closed" else "pass")
    return Decision(_strictest(actions), tuple(broken), tuple(undecided))


def _strictest(actions: Collection[Action]) -> Action:
    return max(actions, key=_ORDER.index)
