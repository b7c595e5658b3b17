"""What an edit changed, by principle id and content hash: not which lines, but what they say.

Both sides are whole constitutions with their parents merged in, so an edit to a parent shows too,
and moving text between files does not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from constitution.schema import Constitution, FewShotExample, Principle, PrincipleTest, Stakeholder

__all__ = ["Change", "ChangeKind", "diff"]


class ChangeKind(StrEnum):
    """What became of a part of the constitution."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    REWORDED = "reworded"
    REWEIGHTED = "re-weighted"
    RESCOPED = "re-scoped"
    REORDERED = "reordered"
    RETESTED = "re-tested"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; a side is None where the part or the field is not there."""

    kind: ChangeKind
    part: Literal["constitution", "principle", "stakeholder", "example"]
    name: str
    """Id of the principle, name of the profile, the example's principle; `` for the whole."""
    field: str
    old: str | None
    new: str | None

    @property
    def alters_runs(self) -> bool:
        """Whether the constitution's hash changes, so that a run needs `--update` to go on."""
        told_only = self.part == "constitution" and self.field == "description"
        return self.kind is not ChangeKind.RETESTED and not told_only


_Field = tuple[str, ChangeKind]
_WORDS: tuple[_Field, ...] = tuple(
    (name, ChangeKind.REWORDED) for name in ("statement", "critique", "revision", "preference")
)
_SCOPE: tuple[_Field, ...] = (
    ("weight", ChangeKind.REWEIGHTED),
    ("severity", ChangeKind.RESCOPED),
    ("tags", ChangeKind.RESCOPED),
)
_EXAMPLE_FIELDS: tuple[_Field, ...] = tuple(
    (name, ChangeKind.REWORDED) for name in ("answer", "critique", "revision")
)
_HEAD: tuple[_Field, ...] = tuple(
    (name, ChangeKind.REWORDED) for name in ("name", "version", "description", "preamble")
)


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
    part: Literal["constitution", "principle", "stakeholder", "example"],
    name: str,
    old: Mapping[str, object],
    new: Mapping[str, object],
    fields: Iterable[_Field],
) -> Iterator[Change]:
    for field, kind in fields:
        before, after = _told(old.get(field)), _told(new.get(field))
        if before != after:
            yield Change(kind, part, name, field, before, after)


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
            said = principle.statement
            yield Change(ChangeKind.REMOVED, "principle", id, "statement", said, None)
    for id, principle in after.items():
        earlier = before.get(id) or before.get(_key_of(renamed, id))
        if earlier is None:
            yield Change(ChangeKind.ADDED, "principle", id, "statement", None, principle.statement)
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


def _key_of(renamed: Mapping[str, str], id: str) -> str:
    return next((was for was, now in renamed.items() if now == id), "")


def _one_principle(old: Principle, new: Principle) -> Iterator[Change]:
    yield from _fields("principle", new.id, vars(old), vars(new), _WORDS)
    yield from _fields("principle", new.id, vars(old), vars(new), _SCOPE)
    for field in ("tags", "stakeholders"):
        before = _told(getattr(old.applies_to, field))
        after = _told(getattr(new.applies_to, field))
        if before != after:
            name = f"applies_to.{field}"
            yield Change(ChangeKind.RESCOPED, "principle", new.id, name, before, after)
    yield from _tests(new.id, old.tests, new.tests)


def _tests(id: str, old: Sequence[PrincipleTest], new: Sequence[PrincipleTest]) -> Iterator[Change]:
    """By prompt; where a prompt is repeated, in order."""
    before, after = _numbered(old), _numbered(new)
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key), after.get(key)
        if was is None or now is None:
            prompts = was.prompt if was else None, now.prompt if now else None
            yield Change(ChangeKind.RETESTED, "principle", id, "test", *prompts)
            continue
        fields = (("compliant", ChangeKind.RETESTED), ("violating", ChangeKind.RETESTED))
        yield from _fields("principle", id, vars(was), vars(now), fields)


def _numbered(tests: Sequence[PrincipleTest]) -> dict[tuple[str, int], PrincipleTest]:
    seen: dict[str, int] = {}
    numbered = {}
    for test in tests:
        seen[test.prompt] = seen.get(test.prompt, 0) + 1
        numbered[test.prompt, seen[test.prompt]] = test
    return numbered


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
    for name in [*old, *(name for name in new if name not in old)]:
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            kind = ChangeKind.REMOVED if now is None else ChangeKind.ADDED
            weights = _weights(was) if was else None, _weights(now) if now else None
            yield Change(kind, "stakeholder", name, "weights", *weights)
            continue
        words = (("description", ChangeKind.REWORDED),)
        yield from _fields("stakeholder", name, vars(was), vars(now), words)
        ids = dict.fromkeys([*was.weights, *now.weights])
        weights_of = ((id, ChangeKind.REWEIGHTED) for id in ids)
        yield from _fields("stakeholder", name, was.weights, now.weights, weights_of)


def _weights(stakeholder: Stakeholder) -> str:
    return ", ".join(f"{id} {_told(weight)}" for id, weight in stakeholder.weights.items())


def _examples(old: Sequence[FewShotExample], new: Sequence[FewShotExample]) -> Iterator[Change]:
    """By principle and prompt."""
    before, after = _by_prompt(old), _by_prompt(new)
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key), after.get(key)
        if was is None or now is None:
            kind = ChangeKind.REMOVED if now is None else ChangeKind.ADDED
            prompts = was.prompt if was else None, now.prompt if now else None
            yield Change(kind, "example", key[0], "prompt", *prompts)
        else:
            yield from _fields("example", key[0], vars(was), vars(now), _EXAMPLE_FIELDS)
    names = ["/".join(map(str, key)) for key in before], ["/".join(map(str, key)) for key in after]
    yield from _order(*names, "few_shot")


def _by_prompt(
    examples: Sequence[FewShotExample],
) -> dict[tuple[str, str, int], FewShotExample]:
    seen: dict[tuple[str, str], int] = {}
    numbered = {}
    for example in examples:
        key = example.principle, example.prompt
        seen[key] = seen.get(key, 0) + 1
        numbered[(*key, seen[key])] = example
    return numbered
