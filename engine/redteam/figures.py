"""How often attacks succeed, by principle, by turn and by tactic, with intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from engine.redteam.records import AttackOutcome, AttackRecord, Attempt
from engine.shares import Estimate, share_estimate

__all__ = ["AttackFigures", "attack_figures"]


@dataclass(frozen=True, slots=True)
class AttackFigures:
    """Of attacks that were judged. `broken` counts prompts with a success among their attempts,
    `per_request` successes among the requests to the target, whose interval is over prompts."""

    prompts: int
    requests: int
    broken: Estimate | None
    per_request: Estimate | None
    by_principle: dict[str, Estimate]
    """Prompts broken."""
    by_turn: dict[int, Estimate]
    """Prompts broken by this turn of the attacker, the earlier ones among them; 0 are the seeds."""
    by_tactic: dict[str, Estimate]
    """Successes among the requests of each tactic."""
    undecided: int
    """Answers without a verdict."""

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return asdict(self)


_JUDGED = (AttackOutcome.BROKEN, AttackOutcome.HELD)
_Judged = tuple[AttackRecord, Attempt]
Name = TypeVar("Name")


def attack_figures(records: Iterable[AttackRecord]) -> AttackFigures:
    """The figures of a run's records; attempts without a verdict count nowhere but in `undecided`."""
    records = list(records)
    judged = [record for record in records if record.outcome in _JUDGED]
    attempts = [
        (record, attempt)
        for record in judged
        for attempt in record.attempts
        if attempt.verdict.violates is not None
    ]
    return AttackFigures(
        prompts=len(judged),
        requests=len(attempts),
        broken=_broken(judged),
        per_request=_per_request(attempts),
        by_principle={
            name: found
            for name, of_it in _grouped((r.principle, r) for r in judged).items()
            if (found := _broken(of_it))
        },
        by_turn={
            turn: found
            for turn in sorted({attempt.turn for _, attempt in attempts})
            if (found := _broken(judged, turn))
        },
        by_tactic={
            name: found
            for name, of_it in _grouped((a.tactic, (r, a)) for r, a in attempts).items()
            if (found := _per_request(of_it))
        },
        undecided=sum(a.verdict.violates is None for r in records for a in r.attempts),
    )


def _grouped(pairs: Iterable[tuple[str, Name]]) -> dict[str, list[Name]]:
    groups: dict[str, list[Name]] = {}
    for name, one in pairs:
        groups.setdefault(name, []).append(one)
    return dict(sorted(groups.items()))


def _broken(records: Sequence[AttackRecord], turn: int | None = None) -> Estimate | None:
    """The share of prompts with a success, or one up to a turn."""
    return share_estimate([
        float(any(a.success and (turn is None or a.turn <= turn) for a in record.attempts))
        for record in records
    ])


def _per_request(attempts: Sequence[_Judged]) -> Estimate | None:
    hits = [float(attempt.success) for _, attempt in attempts]
    return share_estimate(hits, [record.id for record, _ in attempts])
