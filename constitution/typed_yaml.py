"""A YAML file as a pydantic model: every error reported at once, by file, line and column."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from constitution.problems import InputError, Problem
from constitution.validation import closest, nearest
from constitution.yaml_source import Location, YamlSource, decode, read_yaml, shown

__all__ = ["checked", "read_yaml_file"]

Model = TypeVar("Model", bound=BaseModel)


def read_yaml_file(path: Path) -> YamlSource:
    """The file's data and where each value stands. Raises InputError if it is not a YAML mapping."""
    try:
        text = decode(path.read_bytes(), str(path))
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise InputError(Problem(str(path), what, "is it a file that you may read?")) from error
    if not text.strip():
        raise InputError(Problem(str(path), "is empty", "write `key: value`"))
    source = read_yaml(text, str(path))
    if not isinstance(source.data, dict):
        raise InputError(Problem(str(path), "is not a mapping", "write `key: value`"))
    return source


def checked(source: YamlSource, model: type[Model], at: Location = ()) -> Model:
    """The mapping at `at` as a `model`. Raises InputError with every problem of it."""
    data = source.data
    for step in at:
        data = data[step]
    problems = [*source.problems]
    try:
        found = model.model_validate(data)
    except ValidationError as error:
        problems += _problems(source, model, at, error.errors(include_url=False))
    if problems:
        raise InputError(sorted(problems, key=_line_and_column))
    return found


def _problems(
    source: YamlSource, model: type[BaseModel], at: Location, errors: list[ErrorDetails]
) -> list[Problem]:
    """One for each place: a mistyped key is not also missing, and of alternatives the first that
    might have been meant says what is wrong."""
    meant = {
        (*loc[:-1], closest(str(loc[-1]), _keys(model, loc[:-1])))
        for loc in (error["loc"] for error in errors if error["type"] == "extra_forbidden")
    }
    found: dict[str, Problem] = {}
    for error in errors:
        if error["type"] == "missing" and error["loc"] in meant:
            continue
        if error["type"] == "float_type" and isinstance(error["input"], dict) and len(errors) > 1:
            continue
        problem = _problem(source, model, at, error)
        found.setdefault(f"{problem.where} {problem.what}", problem)
    return list(found.values())


def _line_and_column(problem: Problem) -> tuple[int, ...]:
    return tuple(int(part) for part in problem.where.rsplit(":", 2)[1:])


def _problem(
    source: YamlSource, model: type[BaseModel], at: Location, details: ErrorDetails
) -> Problem:
    inner: Location = details["loc"]
    location = (*at, *_in_file(source, at, inner))
    name = ".".join(map(str, location)) or "the file"
    match details["type"]:
        case "extra_forbidden":
            known = _keys(model, inner[:-1])
            remedy = nearest(str(inner[-1]), known) or f"it may have {', '.join(known)}"
            where = source.where((*at, *inner), key=True)
            return Problem(where, f"unknown key {shown(inner[-1])}", remedy)
        case "missing":
            return Problem(source.where(location), f"has no {inner[-1]!r}", "add it")
    told = details["msg"].removeprefix("Value error, ")
    what = f"{name} is {shown(details['input'])}"
    return Problem(source.where(location), what, told[:1].lower() + told[1:])


def _in_file(source: YamlSource, at: Location, inner: Location) -> Location:
    """A location without the steps that pydantic adds for the members of a union."""
    found: Location = ()
    for step in inner:
        if (*at, *found, step) in source.values:
            found = (*found, step)
    return found


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that `model` knows in the mapping at `location`."""
    schema = model.model_json_schema(by_alias=True)
    node: Any = schema
    for step in location:
        node = _resolved(schema, node.get("properties", {}).get(step, node))
    return list(_resolved(schema, node).get("properties", {}))


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What a reference, or the one object among alternatives, stands for."""
    for option in (node, *node.get("anyOf", ())):
        if "$ref" in option:
            found: dict[str, Any] = schema["$defs"][option["$ref"].rpartition("/")[2]]
            return found
    return node
