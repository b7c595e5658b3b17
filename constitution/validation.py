"""A constitution's data against the schema, and what pydantic says in the author's words; then what
one part says about another, on the raw data, so that all problems are reported together."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from constitution.problems import Problem, nearest
from constitution.schema import Constitution, slug
from constitution.typed_yaml import errors_of, unknown_key
from constitution.yaml_source import Location, YamlSource, shown

__all__ = ["duplicate_problems", "reference_problems", "schema_problems", "validated"]

_NOUNS = {str: "text", bool: "true or false", int: "a number", float: "a number"}
_READ_OTHERWISE = (bool, int, float)
_COUNTS = ("max_words", "min_words", "max_sentences")
_WHOLE = "the constitution"
_QUOTED = re.compile(r"'([^']*+)'")
_PLAIN = re.compile(r"\A[\w-]{1,80}")
_FILL_IN = "write it; an optional key may be left out"


def validated(data: Any) -> Constitution:
    """Through JSON: strict models take no list for a tuple otherwise. Raises ValidationError."""
    return Constitution.model_validate_json(json.dumps(data))


def schema_problems(source: YamlSource, error: ValidationError) -> list[Problem]:
    """One problem for each error, at its line and column; a mistyped key is not also missing."""
    errors = errors_of(Constitution, error)
    around = {details["loc"][:-1] for details in errors}  # a list of wrong items is not also empty
    return [
        _problem(source, details)
        for details in errors
        if details["type"] != "too_short" or details["loc"] not in around
    ]


def _problem(source: YamlSource, details: ErrorDetails) -> Problem:
    kind, value = details["type"], details["input"]
    location = _in_file(source, details["loc"])
    name, context = _name(location), details.get("ctx", {})
    at_value = source.where(location)
    match kind:
        case "missing":
            return Problem(at_value, f"{_name(location[:-1])} has no {location[-1]!r}", "add it")
        case "extra_forbidden":
            return unknown_key(source, Constitution, (), location)
        case "string_pattern_mismatch" if location[-1] == "python":
            return Problem(at_value, f"{name} is {shown(value)}", "write module:function")
        case "string_too_long" if "check" in location:
            return Problem(at_value, f"{name} is too long", "write at most 200 characters")
        case "value_error":
            what, _, remedy = str(context["error"]).rpartition("; ")
            said = "" if isinstance(value, dict | bool) else f": {shown(value)}"
            return Problem(at_value, f"{name}{said} {what}", remedy)
        case "string_pattern_mismatch" | "string_too_long":
            where = source.where(_without_marker(location), key=location[-1] == "[key]")
            return Problem(where, f"{name} is {shown(value)}, not a slug", _slug_remedy(str(value)))
        case "string_too_short" | "too_short":
            return Problem(at_value, f"{name} is empty", _FILL_IN)
        case "enum":
            choices = str(context["expected"])
            hint = nearest(str(value), _QUOTED.findall(choices))
            what = f"{name} is {shown(source.place(location).spelling or value)}"
            return Problem(at_value, what, hint or f"choose {choices}")
        case "greater_than_equal" | "int_type" | "int_from_float" if location[-1] in _COUNTS:
            what = f"{name} is {shown(value)}, not a whole number of 1 or more"
            return Problem(at_value, what, "leave the key out where there is no limit")
        case "greater_than_equal" | "finite_number":
            what = f"{name} is {shown(value)}, not a number of 0 or more"
            return Problem(
                at_value, what, "0 means never" if location[-1] != "reading_grade" else ""
            )
        case _:
            what, remedy = _wrong_type(kind, name, value, source.place(location).spelling)
            return Problem(at_value, what, remedy or details["msg"])


def _wrong_type(kind: str, name: str, value: Any, spelling: str) -> tuple[str, str]:
    if value is None:
        return f"{name} is empty", _FILL_IN
    noun = _NOUNS.get(type(value)) or ("a list" if isinstance(value, list) else "a mapping")
    said = shown(spelling) if spelling else noun
    match kind:
        case "string_type" if isinstance(value, _READ_OTHERWISE):
            return f"{name}: {spelling} is {noun} to YAML, not text", f'quote it: "{spelling}"'
        case "string_type":
            return f"{name} is {noun}, not text", "write text (in quotes if it has `: ` or `[`)"
        case "float_type":
            return f"{name} is {said}, not a number", "write a number of 0 or more, such as 1.0"
        case "tuple_type":
            return f"{name} is {said}, not a list", "start each item on its own line with `- `"
        case "bool_type" | "bool_parsing":
            return f"{name} is {said}", "write true or false"
        case "model_type" | "dict_type":
            keys = ", starting with `name:` and `principles:`" if name == _WHOLE else ""
            return f"{name} is {said}, not a mapping", f"write `key: value`{keys}"
        case _:
            return f"{name} is {said}", ""


def _in_file(source: YamlSource, location: Location) -> Location:
    """Without the place in a list where the file has a text alone."""
    alone = len(location) > 1 and isinstance(location[-1], int) and location not in source.values
    return location[:-1] if alone and location[:-1] in source.values else location


def _name(location: Location) -> str:
    """`principles[0].tests[1].prompt`; the root is `the constitution`."""
    text = ""
    for step in _without_marker(location):
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            plain = _PLAIN.fullmatch(step)
            text += f".{step}" if plain else f"[{shown(step)}]"
    return text.removeprefix(".") or _WHOLE


def _without_marker(location: Location) -> Location:
    """Pydantic marks an error in a mapping's key by a last step `[key]`."""
    return location[:-1] if location and location[-1] == "[key]" else location


def _slug_remedy(text: str) -> str:
    rule = "use up to 80 lower-case letters, digits and single hyphens"
    return f"{rule}, such as {meant!r}" if (meant := slug(text, 80)) else rule


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


def reference_problems(source: YamlSource, parents: Iterable[Constitution]) -> Iterator[Problem]:
    """Principles and stakeholders that are named, but are neither in the file nor in its parents."""
    root = _mapping(source.data)
    principles = {id for _, id in _principle_ids(root)}
    stakeholders = set(_mapping(root.get("stakeholders")))
    for parent in parents:
        principles |= {principle.id for principle in parent.principles}
        stakeholders |= set(parent.stakeholders)
    for index, example in enumerate(_items(root.get("few_shot"))):
        at: Location = ("few_shot", index, "principle")
        yield from _unknown(source, at, "principle", _mapping(example).get("principle"), principles)
    for profile, stakeholder in _mapping(root.get("stakeholders")).items():
        for id in _mapping(_mapping(stakeholder).get("weights")):
            at = ("stakeholders", profile, "weights", id)
            yield from _unknown(source, at, "principle", id, principles)
    for index, principle in enumerate(_items(root.get("principles"))):
        scope = _mapping(_mapping(principle).get("applies_to"))
        for number, profile in enumerate(_items(scope.get("stakeholders"))):
            at = ("principles", index, "applies_to", "stakeholders", number)
            yield from _unknown(source, at, "stakeholder", profile, stakeholders)


def _unknown(
    source: YamlSource, at: Location, kind: str, name: Any, known: set[str]
) -> Iterator[Problem]:
    if isinstance(name, str) and name not in known:
        some = ", ".join(sorted(known)[:8]) or "none"
        remedy = nearest(name, known) or f"there is {some}{', …' if len(known) > 8 else ''}"
        where = source.where(at, key=at[-1] == name)
        yield Problem(where, f"no {kind} {shown(name)}", remedy)


def _principle_ids(data: Any) -> Iterator[tuple[Location, str]]:
    for index, principle in enumerate(_items(_mapping(data).get("principles"))):
        id = _mapping(principle).get("id")
        if isinstance(id, str):
            yield ("principles", index, "id"), id


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
