"""A YAML file as a pydantic model: every error reported at once, by file, line and column."""

from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from constitution.problems import InputError, Problem
from constitution.validation import closest, nearest
from constitution.yaml_source import Location, YamlSource, decode, read_yaml, shown

__all__ = ["Settings", "checked", "read_yaml_file", "section_of"]

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """A mapping of a YAML file: frozen, of exact types, and without keys that nothing reads.

    A section whose default is not its class's own is laid over that default key by key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    plain: ClassVar[str | None] = None
    """The field that a plain string in place of the mapping stands for."""

    @model_validator(mode="before")
    @classmethod
    def _as_mapping(cls, data: Any) -> Any:
        if isinstance(data, str) and cls.plain:
            return {cls.plain: data}
        if not isinstance(data, dict):
            return data
        return {name: cls._over_default(name, value) for name, value in data.items()}

    @classmethod
    def _over_default(cls, name: str, value: Any) -> Any:
        field = cls.model_fields.get(name)
        if field and isinstance(field.default, Settings) and isinstance(value, dict):
            return {**field.default.model_dump(exclude_unset=True), **value}
        return value


def section_of(field: FieldInfo) -> type[Settings] | None:
    """The class of a field that is a section of its own, whatever else it may be."""
    for option in (field.annotation, *get_args(field.annotation)):
        if isinstance(option, type) and issubclass(option, Settings):
            return option
    return None


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
            return source.missing((*location, inner[-1]))
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
