"""What one part of a constitution says about another: ids that are unique, names that exist.

Works on raw data, so that these problems are reported together with the schema's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from constitution.problems import Problem
from constitution.schema import Constitution
from constitution.validation import nearest
from constitution.yaml_source import Location, YamlSource, shown

__all__ = ["Names", "duplicate_problems", "names_of", "reference_problems"]


@dataclass(frozen=True, slots=True)
class Names:
    """What may be referred to."""

    principles: frozenset[str]
    stakeholders: frozenset[str]


def names_of(source: YamlSource, parents: Iterable[Constitution]) -> Names:
    """Those that a file declares, and those of what it extends."""
    principles = {id for _, id in _principle_ids(source.data)}
    stakeholders = set(_mapping(_mapping(source.data).get("stakeholders")))
    for parent in parents:
        principles |= {principle.id for principle in parent.principles}
        stakeholders |= set(parent.stakeholders)
    return Names(frozenset(principles), frozenset(stakeholders))


def duplicate_problems(source: YamlSource) -> Iterator[Problem]:
    """Principles of one file that share an id."""
    first: dict[str, Location] = {}
    for location, id in _principle_ids(source.data):
        if id not in first:
            first[id] = location
            continue
        line = source.place(first[id]).line
        what = f"the id {shown(id)} is also that of the principle on line {line}"
        yield Problem(source.where(location), what, "give each principle its own")


def reference_problems(source: YamlSource, names: Names) -> Iterator[Problem]:
    """Principles and stakeholders that are named, but are not there."""
    root = _mapping(source.data)
    for index, example in enumerate(_items(root.get("few_shot"))):
        id = _mapping(example).get("principle")
        if isinstance(id, str) and id not in names.principles:
            location: Location = ("few_shot", index, "principle")
            yield _unknown(source, location, "principle", id, names.principles)
    for profile, stakeholder in _mapping(root.get("stakeholders")).items():
        for id in _mapping(_mapping(stakeholder).get("weights")):
            if id not in names.principles:
                location = ("stakeholders", profile, "weights", id)
                yield _unknown(source, location, "principle", id, names.principles, key=True)
    for index, principle in enumerate(_items(root.get("principles"))):
        scope = _mapping(_mapping(principle).get("applies_to"))
        for at, profile in enumerate(_items(scope.get("stakeholders"))):
            if isinstance(profile, str) and profile not in names.stakeholders:
                location = ("principles", index, "applies_to", "stakeholders", at)
                yield _unknown(source, location, "stakeholder", profile, names.stakeholders)


def _unknown(
    source: YamlSource,
    location: Location,
    kind: str,
    name: str,
    known: frozenset[str],
    *,
    key: bool = False,
) -> Problem:
    some = ", ".join(sorted(known)[:8]) or "none"
    remedy = nearest(name, known) or f"there is {some}{', …' if len(known) > 8 else ''}"
    return Problem(source.where(location, key=key), f"no {kind} {shown(name)}", remedy)


def _principle_ids(data: Any) -> Iterator[tuple[Location, str]]:
    for index, principle in enumerate(_items(_mapping(data).get("principles"))):
        id = _mapping(principle).get("id")
        if isinstance(id, str):
            yield ("principles", index, "id"), id


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
