"""What an edit changed, by principle id and content hash: not which lines, but what they say.

Both sides are whole constitutions with their parents merged in, so an edit to a parent shows too,
and moving text between files does not.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any, Literal, TypeVar

from constitution.checks import CHECK_KEYS, check_facts
from constitution.schema import (
    Constitution,
    FewShotExample,
    Principle,
    PrincipleTest,
    Stakeholder,
)

__all__ = ["Change", "ChangeKind", "diff"]


Item = TypeVar("Item")
Part = Literal["constitution", "principle", "stakeholder", "example"]


class ChangeKind(StrEnum):
    """What became of a part of the constitution."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    REWORDED = "reworded"
    REWEIGHTED = "re-weighted"
    RESCOPED = "re-scoped"
    REORDERED = "reordered"
    RECHECKED = "re-checked"
    RETESTED = "re-tested"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; a side is None where the part or the field is not there."""

    kind: ChangeKind
    part: Part
    name: str
    """Id of the principle, name of the profile, the example's principle; `` for the whole."""
    field: str
    old: str | None
    new: str | None

    @property
    def alters_runs(self) -> bool:
        """Whether the constitution's hash changes, so that a run needs `--update` to go on."""
        told_only = self.part == "constitution" and self.field in ("description", "refusal")
        return self.kind is not ChangeKind.RETESTED and not told_only


def _all(kind: ChangeKind, *fields: str) -> dict[str, ChangeKind]:
    return dict.fromkeys(fields, kind)


_HEAD = _all(ChangeKind.REWORDED, "name", "version", "description", "preamble", "refusal")
_PRINCIPLE = (
    _all(ChangeKind.REWORDED, "statement", "critique", "revision", "preference")
    | _all(ChangeKind.RECHECKED, *(f"check.{key}" for key in CHECK_KEYS), "judged")
    | _all(ChangeKind.REWEIGHTED, "weight")
    | _all(ChangeKind.RESCOPED, "severity", "tags", "applies_to.tags", "applies_to.stakeholders")
)
_TEST = _all(ChangeKind.RETESTED, "compliant", "violating")
_STAKEHOLDER = _all(ChangeKind.REWORDED, "description")
_EXAMPLE = _all(ChangeKind.REWORDED, "answer", "critique", "revision")


def diff(old: Constitution, new: Constitution) -> tuple[Change, ...]:
    """Every difference, the whole first, then principles, stakeholders and examples.

    There is one that `alters_runs` exactly when the content hashes differ.
    """
    return (
        *_fields("constitution", "", vars(old), vars(new), _HEAD),
        *_principles(old.principles, new.principles),
        *_stakeholders(old.stakeholders, new.stakeholders),
        *_examples(old.few_shot, new.few_shot),
    )


def _fields(
    part: Part,
    name: str,
    old: Mapping[str, object],
    new: Mapping[str, object],
    kinds: Mapping[str, ChangeKind],
) -> Iterator[Change]:
    for field, kind in kinds.items():
        before, after = _told(old.get(field)), _told(new.get(field))
        if before != after:
            yield Change(kind, part, name, field, before, after)


def _whole(part: Part, name: str, field: str, old: str | None, new: str | None) -> Change:
    """That something came or went, told by one of its fields."""
    kind = ChangeKind.REMOVED if new is None else ChangeKind.ADDED
    return Change(kind, part, name, field, old, new)


def _told(value: object) -> str | None:
    """A field as text; empty lists are as good as none."""
    match value:
        case None | ():
            return None
        case float():
            return repr(value).removesuffix(".0")
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)


# Principles


def _principles(old: Sequence[Principle], new: Sequence[Principle]) -> Iterator[Change]:
    before, after = {p.id: p for p in old}, {p.id: p for p in new}
    renamed = _renamed(before, after)
    for was, now in renamed.items():
        yield Change(ChangeKind.RENAMED, "principle", now, "id", was, now)
    for id, principle in before.items():
        if id not in after and id not in renamed:
            yield _whole("principle", id, "statement", principle.statement, None)
    earlier_ids = {now: was for was, now in renamed.items()}
    for id, principle in after.items():
        earlier = before.get(earlier_ids.get(id, id))
        if earlier is None:
            yield _whole("principle", id, "statement", None, principle.statement)
        else:
            yield from _one_principle(earlier, principle)
    yield from _order([renamed.get(id, id) for id in before], list(after), "principles")


def _renamed(old: Mapping[str, Principle], new: Mapping[str, Principle]) -> dict[str, str]:
    """Ids that went, to ids that came with the very same words; no words are claimed twice."""
    came = {new[id].content_hash: id for id in reversed([*new]) if id not in old}
    renamed: dict[str, str] = {}
    for id, principle in old.items():
        if id not in new and principle.content_hash in came:
            renamed[id] = came.pop(principle.content_hash)
    return renamed


def _one_principle(old: Principle, new: Principle) -> Iterator[Change]:
    yield from _fields("principle", new.id, _flat(old), _flat(new), _PRINCIPLE)
    for _, was, now in _paired(old.tests, new.tests, lambda test: (test.prompt,)):
        if was and now:
            yield from _fields("principle", new.id, _answers(was), _answers(now), _TEST)
        else:
            prompts = was.prompt if was else None, now.prompt if now else None
            yield Change(ChangeKind.RETESTED, "principle", new.id, "test", *prompts)


def _flat(principle: Principle) -> dict[str, Any]:
    scope = vars(principle.applies_to)
    check = check_facts(principle.check) if principle.check else {}
    return (
        vars(principle)
        | {f"applies_to.{name}": value for name, value in scope.items()}
        | {f"check.{key}": told for key, told in check.items()}
        | {"judged": "yes" if principle.needs_judge else "no"}
    )


def _answers(test: PrincipleTest) -> dict[str, str]:
    """Each side of a test as one text, its answers numbered where there are several."""
    sides = {"compliant": test.compliant, "violating": test.violating}
    return {
        name: answers[0]
        if len(answers) == 1
        else "\n".join(f"{number}. {answer}" for number, answer in enumerate(answers, 1))
        for name, answers in sides.items()
    }


def _order(old: Sequence[str], new: Sequence[str], field: str) -> Iterator[Change]:
    """Only of what is on both sides."""
    before, after = [id for id in old if id in new], [id for id in new if id in old]
    if before != after:
        told = ", ".join(before), ", ".join(after)
        yield Change(ChangeKind.REORDERED, "constitution", "", field, *told)


# Stakeholders and examples


def _stakeholders(
    old: Mapping[str, Stakeholder], new: Mapping[str, Stakeholder]
) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name), new.get(name)
        if was and now:
            yield from _fields("stakeholder", name, vars(was), vars(now), _STAKEHOLDER)
            kinds = _all(ChangeKind.REWEIGHTED, *was.weights, *now.weights)
            yield from _fields("stakeholder", name, was.weights, now.weights, kinds)
        else:
            weights = _weights(was) if was else None, _weights(now) if now else None
            yield _whole("stakeholder", name, "weights", *weights)


def _weights(stakeholder: Stakeholder) -> str:
    return ", ".join(f"{id} {_told(weight)}" for id, weight in stakeholder.weights.items())


def _examples(old: Sequence[FewShotExample], new: Sequence[FewShotExample]) -> Iterator[Change]:
    key_of = attrgetter("principle", "prompt")
    for key, was, now in _paired(old, new, key_of):
        if was and now:
            yield from _fields("example", key[0], vars(was), vars(now), _EXAMPLE)
        else:
            prompts = was.prompt if was else None, now.prompt if now else None
            yield _whole("example", key[0], "prompt", *prompts)
    before, after = (
        ["/".join(map(str, key)) for key in _numbered(side, key_of)] for side in (old, new)
    )
    yield from _order(before, after, "few_shot")


_Key = tuple[Any, ...]


def _paired(
    old: Sequence[Item], new: Sequence[Item], key_of: Callable[[Item], _Key]
) -> Iterator[tuple[_Key, Item | None, Item | None]]:
    """What has the same key on both sides, with None for the side that it is not on."""
    before, after = _numbered(old, key_of), _numbered(new, key_of)
    for key in dict.fromkeys([*before, *after]):
        yield key, before.get(key), after.get(key)


def _numbered(items: Sequence[Item], key_of: Callable[[Item], _Key]) -> dict[_Key, Item]:
    """Items by key and, where one is repeated, its place among those that have it."""
    seen: Counter[_Key] = Counter()
    numbered = {}
    for item in items:
        key = key_of(item)
        seen[key] += 1
        numbered[(*key, seen[key])] = item
    return numbered
