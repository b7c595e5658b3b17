"""Rules that look at the constitution as a whole."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import combinations

from constitution.lint.findings import LintFinding, found
from constitution.lint.likeness import likeness
from constitution.schema import Constitution, Principle
from constitution.selection import applicable
from constitution.yaml_source import Location, YamlSource

__all__ = ["whole_findings"]

_ALIKE = 0.6
_SMALLEST_SHARE = 0.001
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.-]+)?")
_OUTWEIGHS_OF = 4


def whole_findings(
    source: YamlSource,
    loaded: Constitution,
    places: Mapping[str, Location],
    prompt_tags: frozenset[str] | None,
) -> Iterator[LintFinding]:
    """Of the file `source`; `loaded` has its parents merged in, `places` are its own principles.

    `prompt_tags` are the tags that prompts really carry, where they are known.
    """
    yield from _pairs(source, loaded.principles, places)
    yield from _weights(source, loaded, places)
    yield from _tags(source, loaded.principles, places, prompt_tags)
    yield from _stakeholders(source, loaded)
    yield from _head(source, loaded)
    yield from _examples(source, loaded)


def _pairs(
    source: YamlSource, principles: Iterable[Principle], places: Mapping[str, Location]
) -> Iterator[LintFinding]:
    for one, other in combinations(principles, 2):
        if other.id not in places:
            one, other = other, one
        if other.id in places and likeness(one.statement, other.statement) >= _ALIKE:
            why = f"{other.id} says nearly what {one.id} says: both are drawn, and count twice"
            here = (*places[other.id], "statement")
            yield found("SC301", source, here, why, "keep one of them, or say what differs")


def _weights(
    source: YamlSource, loaded: Constitution, places: Mapping[str, Location]
) -> Iterator[LintFinding]:
    shares = [_shares(loaded, None)] + [_shares(loaded, name) for name in loaded.stakeholders]
    for principle in loaded.principles:
        if principle.id not in places:
            continue
        best = max(share.get(principle.id, 0.0) for share in shares)
        here = (*places[principle.id], "weight")
        if best < _SMALLEST_SHARE:
            why = f"{principle.id} is drawn by {best:.2%} of prompts, under every profile"
            yield found("SC302", source, here, why, "raise its `weight`, or delete it", key=True)
        elif len(loaded.principles) >= _OUTWEIGHS_OF and shares[0].get(principle.id, 0) > 0.5:
            why = f"{principle.id} is drawn by {shares[0][principle.id]:.0%} of prompts"
            yield found("SC309", source, here, why, "lower its `weight`", key=True)


def _shares(loaded: Constitution, stakeholder: str | None) -> dict[str, float]:
    """Each principle's share of the draws of a prompt without tags, or of its own tags."""
    weighed = applicable(loaded, None, stakeholder)
    total = sum(weight for _, weight in weighed)
    return {principle.id: weight / total for principle, weight in weighed}


def _tags(
    source: YamlSource,
    principles: Iterable[Principle],
    places: Mapping[str, Location],
    prompt_tags: frozenset[str] | None,
) -> Iterator[LintFinding]:
    own = [p for p in principles if p.id in places]
    known = {tag for p in principles for tag in (*p.tags, *p.applies_to.tags)}
    for p in own:
        at = places[p.id]
        for name, location, tags in (
            ("tags", (*at, "tags"), p.tags),
            ("applies_to", (*at, "applies_to", "tags"), p.applies_to.tags),
        ):
            yield from _tags_of(source, name, location, tags, known, prompt_tags)


def _tags_of(
    source: YamlSource,
    name: str,
    location: Location,
    tags: tuple[str, ...],
    known: set[str],
    prompt_tags: frozenset[str] | None,
) -> Iterator[LintFinding]:
    for index, tag in enumerate(tags):
        here = (*location, index)
        if tag in tags[:index]:
            yield found("SC402", source, here, f"the tag {tag} is listed already", "leave it out")
        if prompt_tags is not None and name == "applies_to" and tag not in prompt_tags:
            near = get_close_matches(tag, prompt_tags, 1)
            remedy = f"did you mean {near[0]}?" if near else "correct it, or tag some prompts"
            yield found("SC303", source, here, f"no prompt carries the tag {tag}", remedy)
        elif prompt_tags is None and (other := _misspelt(tag, known)):
            why = f"the tag {tag} is nearly {other}, which other principles use"
            yield found("SC303", source, here, why, f"write {other}, or choose a clearer name")


def _misspelt(tag: str, known: set[str]) -> str | None:
    """Another tag that this one may be a slip of: as long, or one letter off; reported at the later."""
    others = [other for other in known if other < tag and abs(len(other) - len(tag)) <= 1]
    near = get_close_matches(tag, others, 1, cutoff=0.88)
    return near[0] if near else None


def _stakeholders(source: YamlSource, loaded: Constitution) -> Iterator[LintFinding]:
    named = {name for p in loaded.principles for name in p.applies_to.stakeholders}
    for name, stakeholder in loaded.stakeholders.items():
        location = ("stakeholders", name)
        if location not in source.values:
            continue
        weights = {p.id: p.weight for p in loaded.principles}
        changes = any(weights.get(id) != weight for id, weight in stakeholder.weights.items())
        if not changes and name not in named:
            why = f"the profile {name} re-weighs nothing, and no principle applies to it alone"
            yield found("SC304", source, location, why, "give it `weights`, or delete it", key=True)


def _head(source: YamlSource, loaded: Constitution) -> Iterator[LintFinding]:
    if not _VERSION.fullmatch(loaded.version):
        why = f"version {loaded.version} is not MAJOR.MINOR.PATCH"
        yield found("SC306", source, ("version",), why, 'write version: "1.0.0"')
    if not loaded.description:
        why = "there is no description, so nobody knows what it is for"
        yield found(
            "SC307", source, ("name",), why, "add `description`, a sentence or two", key=True
        )
    preamble = " ".join((loaded.preamble or "").split()).casefold()
    for p in loaded.principles:
        if preamble and " ".join(p.statement.split()).casefold() in preamble:
            why = f"the preamble repeats {p.id}, which then weighs on every verdict"
            yield found("SC305", source, ("preamble",), why, "leave it to the principle", key=True)


def _examples(source: YamlSource, loaded: Constitution) -> Iterator[LintFinding]:
    own = source.data.get("few_shot") or []
    for index, example in enumerate(loaded.few_shot[len(loaded.few_shot) - len(own) :]):
        if likeness(example.answer, example.revision) >= 0.95:
            why = "the example's revision is its answer: it teaches to change nothing"
            yield found("SC308", source, ("few_shot", index), why, "let the revision differ")
