"""A constitution's data against the schema, and what pydantic says in the author's words."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from constitution.problems import Problem
from constitution.schema import Constitution
from constitution.yaml_source import Location, YamlSource, shown

__all__ = ["closest", "nearest", "schema_problems", "validated"]

_NOUNS = {str: "text", bool: "true or false", int: "a number", float: "a number"}
_READ_OTHERWISE = (bool, int, float)
_FILL_IN = "write it; an optional key may be left out"


def validated(data: Any) -> Constitution:
    """Through JSON: strict models take no list for a tuple otherwise. Raises ValidationError."""
    return Constitution.model_validate_json(json.dumps(data))


def schema_problems(source: YamlSource, error: ValidationError) -> list[Problem]:
    """One problem for each error, at its line and column; a mistyped key is not also missing."""
    errors = error.errors(include_url=False)
    unknown = [details["loc"] for details in errors if details["type"] == "extra_forbidden"]
    meant = {
        (*location[:-1], closest(str(location[-1]), _keys_at(location[:-1])))
        for location in unknown
    }
    return [
        _problem(source, details)
        for details in errors
        if not (details["type"] == "missing" and details["loc"] in meant)
    ]


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `name`, if any is."""
    close = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean X?`, or an empty string when nothing known is like `name`."""
    close = closest(name, known)
    return f"did you mean {close!r}?" if close else ""


def _problem(source: YamlSource, details: ErrorDetails) -> Problem:
    kind, location, value = details["type"], details["loc"], details["input"]
    name, context = _name(location), details.get("ctx", {})
    at_value = source.where(location)
    match kind:
        case "missing":
            return Problem(at_value, f"{_name(location[:-1])} has no {location[-1]!r}", "add it")
        case "extra_forbidden":
            where = source.where(location, key=True)
            return Problem(where, f"unknown key {shown(location[-1])}", _known_key(location))
        case "string_pattern_mismatch" | "string_too_long":
            where = source.where(_without_marker(location), key=location[-1] == "[key]")
            return Problem(where, f"{name} is {shown(value)}, not a slug", _slug_remedy(str(value)))
        case "string_too_short":
            return Problem(at_value, f"{name} is empty", _FILL_IN)
        case "enum":
            choices = str(context["expected"])
            hint = nearest(str(value), re.findall(r"'(.*?)'", choices))
            what = f"{name} is {shown(source.place(location).spelling or value)}"
            return Problem(at_value, what, hint or f"choose {choices}")
        case "greater_than_equal" | "finite_number":
            what = f"{name} is {shown(value)}, not a number of 0 or more"
            return Problem(at_value, what, "0 means never")
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
        case "model_type" | "dict_type":
            return f"{name} is {said}, not a mapping", f"write `key: value`{_keys_remark(name)}"
        case _:
            return f"{name} is {said}", ""


def _keys_remark(name: str) -> str:
    return ", starting with `name:` and `principles:`" if name == "the constitution" else ""


def _name(location: Location) -> str:
    """`principles[0].tests[1].prompt`; the root is `the constitution`."""
    text = ""
    for step in _without_marker(location):
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            plain = re.fullmatch(r"[\w-]{1,80}", step)
            text += f".{step}" if plain else f"[{shown(step)}]"
    return text.removeprefix(".") or "the constitution"


def _without_marker(location: Location) -> Location:
    """Pydantic marks an error in a mapping's key by a last step `[key]`."""
    return location[:-1] if location and location[-1] == "[key]" else location


def _known_key(location: Location) -> str:
    known = _keys_at(location[:-1])
    return nearest(str(location[-1]), known) or f"it may have {', '.join(known)}"


def _keys_at(location: Location) -> list[str]:
    """The keys that the schema knows in the mapping at `location`."""
    schema = _json_schema()
    node: Mapping[str, Any] = schema
    for step in location:
        if isinstance(step, int):
            node = node["items"]
        else:
            node = node.get("properties", {}).get(step) or next(
                iter(node["patternProperties"].values())
            )
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node["properties"])


@cache
def _json_schema() -> dict[str, Any]:
    return Constitution.model_json_schema()


def _slug_remedy(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80].strip("-")
    rule = "use up to 80 lower-case letters, digits and single hyphens"
    return f"{rule}, such as {slug!r}" if slug else rule
