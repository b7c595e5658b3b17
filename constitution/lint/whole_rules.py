"""Rules that look at the constitution as a whole."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations

from constitution.lint.findings import Found, LintFinding, found
from constitution.lint.likeness import likeness
from constitution.schema import Constitution
from constitution.selection import applicable
from constitution.yaml_source import Location, YamlSource

__all__ = ["whole_findings"]

_ALIKE = 0.6
_SMALLEST_SHARE = 0.001
_VERSION = re.compile(r"\A\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.-]+)?")
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
    whole = _Whole(source, loaded, places, prompt_tags)
    for rule in (_pairs, _weights, _tags, _stakeholders, _head, _examples):
        for code, location, why, remedy in rule(whole):
            key = location[-1] in _AT_THE_KEY or code == "SC304"
            yield found(code, source, location, why, remedy, key=key)


@dataclass(frozen=True, slots=True)
class _Whole:
    """What rules look at: see `whole_findings`."""

    source: YamlSource
    loaded: Constitution
    places: Mapping[str, Location]
    prompt_tags: frozenset[str] | None


_AT_THE_KEY = ("weight", "name", "preamble")


def _pairs(whole: _Whole) -> Found:
    places = whole.places
    for one, other in combinations(whole.loaded.principles, 2):
        if other.id not in places:
            one, other = other, one
        if other.id in places and likeness(one.statement, other.statement) >= _ALIKE:
            why = f"{other.id} says nearly what {one.id} says: both are drawn, and count twice"
            here = (*places[other.id], "statement")
            yield "SC301", here, why, "keep one of them, or say what differs"


def _weights(whole: _Whole) -> Found:
    loaded = whole.loaded
    shares = [_shares(loaded, name) for name in (None, *loaded.stakeholders)]
    for id, at in whole.places.items():
        best = max(share.get(id, 0.0) for share in shares)
        here = (*at, "weight")
        if best < _SMALLEST_SHARE:
            why = f"{id} is drawn by {best:.2%} of prompts, under every profile"
            yield "SC302", here, why, "raise its `weight`, or delete it"
        elif len(loaded.principles) >= _OUTWEIGHS_OF and shares[0].get(id, 0) > 0.5:
            why = f"{id} is drawn by {shares[0][id]:.0%} of prompts"
            yield "SC309", here, why, "lower its `weight`"


def _shares(loaded: Constitution, stakeholder: str | None) -> dict[str, float]:
    """Each principle's share of the draws of a prompt without tags, or of its own tags."""
    weighed = applicable(loaded, None, stakeholder)
    total = sum(weight for _, weight in weighed)
    return {principle.id: weight / total for principle, weight in weighed}


def _tags(whole: _Whole) -> Found:
    known = {tag for p in whole.loaded.principles for tag in (*p.tags, *p.applies_to.tags)}
    for p in whole.loaded.principles:
        if at := whole.places.get(p.id):
            yield from _tags_of((*at, "tags"), p.tags, known, whole.prompt_tags, False)
            scope = (*at, "applies_to", "tags")
            yield from _tags_of(scope, p.applies_to.tags, known, whole.prompt_tags, True)


def _tags_of(
    at: Location,
    tags: Sequence[str],
    known: set[str],
    prompt_tags: frozenset[str] | None,
    of_prompts: bool,
) -> Found:
    for index, tag in enumerate(tags):
        here = (*at, index)
        if tag in tags[:index]:
            yield "SC402", here, f"the tag {tag} is listed already", "leave it out"
        if of_prompts and prompt_tags is not None and tag not in prompt_tags:
            near = get_close_matches(tag, prompt_tags, 1)
            remedy = f"did you mean {near[0]}?" if near else "correct it, or tag some prompts"
            yield "SC303", here, f"no prompt carries the tag {tag}", remedy
        elif prompt_tags is None and (other := _misspelt(tag, known)):
            why = f"the tag {tag} is nearly {other}, which other principles use"
            yield "SC303", here, why, f"write {other}, or choose a clearer name"


def _misspelt(tag: str, known: set[str]) -> str | None:
    """Another tag that this one may be a slip of: as long, or one letter off; reported at the later."""
    others = [other for other in known if other < tag and abs(len(other) - len(tag)) <= 1]
    near = get_close_matches(tag, others, 1, cutoff=0.88)
    return near[0] if near else None


def _stakeholders(whole: _Whole) -> Found:
    principles = whole.loaded.principles
    named = {name for p in principles for name in p.applies_to.stakeholders}
    weights = {p.id: p.weight for p in principles}
    for name, stakeholder in whole.loaded.stakeholders.items():
        changes = any(weights.get(id) != weight for id, weight in stakeholder.weights.items())
        location = ("stakeholders", name)
        if location in whole.source.values and not changes and name not in named:
            why = f"the profile {name} re-weighs nothing, and no principle applies to it alone"
            yield "SC304", location, why, "give it `weights`, or delete it"


def _head(whole: _Whole) -> Found:
    loaded = whole.loaded
    if not _VERSION.fullmatch(loaded.version):
        why = f"version {loaded.version} is not MAJOR.MINOR.PATCH"
        yield "SC306", ("version",), why, 'write version: "1.0.0"'
    if not loaded.description:
        why = "there is no description, so nobody knows what it is for"
        yield "SC307", ("name",), why, "add `description`, a sentence or two"
    preamble = " ".join((loaded.preamble or "").split()).casefold()
    for p in loaded.principles:
        if preamble and " ".join(p.statement.split()).casefold() in preamble:
            why = f"the preamble repeats {p.id}, which then weighs on every verdict"
            yield "SC305", ("preamble",), why, "leave it to the principle"


def _examples(whole: _Whole) -> Found:
    examples, own = whole.loaded.few_shot, whole.source.data.get("few_shot") or []
    for index, example in enumerate(examples[len(examples) - len(own) :]):
        if likeness(example.answer, example.revision) >= 0.95:
            why = "the example's revision is its answer: it teaches to change nothing"
            yield "SC308", ("few_shot", index), why, "let the revision differ"
