"""Two principles that pull against each other: which pairs can meet, and what is reported of those
that a judge found (asking it is the engine's business)."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from constitution.lint.findings import LintFinding, found
from constitution.lint.likeness import likeness
from constitution.schema import Constitution, Principle
from constitution.selection import applicable
from constitution.yaml_source import Location, YamlSource

__all__ = ["Conflict", "Pair", "conflict_findings", "pairs_that_meet"]

Pair = tuple[Principle, Principle]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A judge's answer about two principles, by id: the probability that they pull against each
    other, averaged over both orders."""

    one: str
    other: str
    probability: float


def pairs_that_meet(constitution: Constitution, own: Collection[str]) -> list[Pair]:
    """Pairs that one conversation can draw under some profile, at least one of them in `own`;
    those with the most words in common first."""
    tags = sorted({tag for p in constitution.principles for tag in p.applies_to.tags})
    together = [
        {principle.id for principle, _ in applicable(constitution, tags, profile)}
        for profile in (None, *constitution.stakeholders)
    ]
    pairs = [
        (one, other)
        for one, other in combinations(constitution.principles, 2)
        if (one.id in own or other.id in own)
        and any(one.id in ids and other.id in ids for ids in together)
    ]
    return sorted(pairs, key=lambda pair: -likeness(pair[0].statement, pair[1].statement))


def conflict_findings(
    source: YamlSource, places: Mapping[str, Location], conflicts: Iterable[Conflict]
) -> Iterator[LintFinding]:
    """One finding for each conflict, at the later of its principles that stands in `source`."""
    for conflict in conflicts:
        one, other = conflict.one, conflict.other
        if other not in places:
            one, other = other, one
        if other in places:
            why = (
                f"{other} pulls against {one}, says the judge ({conflict.probability:.2f}): "
                "rounds may undo each other"
            )
            remedy = "say in one of them when it yields, or narrow one by `applies_to`"
            yield found("SC310", source, (*places[other], "statement"), why, remedy)
