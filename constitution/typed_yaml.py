"""A YAML file as a pydantic model, with options of the command line over single values of it: every
error reported at once, by file, line and column."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from constitution.permissions import Need, needs_of, refused
from constitution.problems import InputError, Problem, closest, nearest
from constitution.yaml_source import Location, Place, YamlSource, read_text, read_yaml, shown

__all__ = [
    "Override",
    "Settings",
    "checked",
    "errors_of",
    "load_config",
    "read_yaml_file",
    "section_of",
    "unknown_key",
]

Model = TypeVar("Model", bound=BaseModel)
Config = TypeVar("Config", bound="Settings")
_ASSIGNMENT = re.compile(r"\A[a-z_]+(\.[a-z_]+)*=.*", re.DOTALL)
_NO_FILE = YamlSource("the command line", {}, {(): Place(1, 1)}, {})


class Settings(BaseModel):
    """A mapping of a YAML file: frozen, of exact types, of finite numbers, and without keys that
    nothing reads.

    A section whose default is not its class's own is laid over that default key by key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

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
    several = get_origin(field.annotation) is list
    for option in (field.annotation, *(() if several else get_args(field.annotation))):
        if isinstance(option, type) and issubclass(option, Settings):
            return option
    return None


def read_yaml_file(path: Path) -> YamlSource:
    """The file's data and where each value stands. Raises InputError if it is not a YAML mapping."""
    text = read_text(path)
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
    found: dict[str, Problem] = {f"{p.where} {p.what}": p for p in source.problems}
    try:
        checked = model.model_validate(data)
    except ValidationError as error:
        errors = errors_of(model, error)
        for each in errors:
            # Of alternatives the first that might have been meant says what is wrong.
            unlike = each["type"] == "float_type" and isinstance(each["input"], dict)
            if not unlike or len(errors) == 1:
                problem = _problem(source, model, at, each)
                found.setdefault(f"{problem.where} {problem.what}", problem)
    if found:
        by_place = sorted(
            found.values(), key=lambda p: [int(n) for n in p.where.rsplit(":", 2)[1:]]
        )
        raise InputError(by_place)
    return checked


def errors_of(model: type[BaseModel], error: ValidationError) -> list[ErrorDetails]:
    """Every error of a `model`; a mistyped key is not also missing."""
    errors = error.errors(include_url=False)
    meant = {
        (*loc[:-1], closest(str(loc[-1]), _keys(model, loc[:-1])))
        for loc in (each["loc"] for each in errors if each["type"] == "extra_forbidden")
    }
    return [each for each in errors if each["type"] != "missing" or each["loc"] not in meant]


def unknown_key(
    source: YamlSource, model: type[BaseModel], at: Location, inner: Location
) -> Problem:
    """What to say of the key at `inner` in the mapping at `at`, which is a `model`."""
    known = _keys(model, inner[:-1])
    if inner[-1] == "<<":
        where = source.where((*at, *inner), key=True)
        what = "`<<` merges keys in some readers of YAML, and not here"
        return Problem(where, what, "write the keys out, or put what is shared into `extends`")
    remedy = nearest(str(inner[-1]), known) or f"it may have {', '.join(known)}"
    where = source.where((*at, *inner), key=True)
    return Problem(where, f"unknown key {shown(inner[-1])}", remedy)


def _problem(
    source: YamlSource, model: type[BaseModel], at: Location, details: ErrorDetails
) -> Problem:
    inner: Location = details["loc"]
    location = (*at, *_in_file(source, at, inner))
    name = ".".join(map(str, location)) or "the file"
    match details["type"]:
        case "extra_forbidden":
            return unknown_key(source, model, at, inner)
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


@cache
def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that `model` knows in the mapping at `location`."""
    schema = _json_schema(model)
    node: Any = schema
    for step in location:
        inner = node.get("properties", {}).get(step) or node.get("items")
        others = [*node.get("patternProperties", {}).values(), node]
        node = _resolved(schema, inner or others[0])
    return list(_resolved(schema, node).get("properties", {}))


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """What a reference, or the one object among alternatives, stands for."""
    for option in (node, *node.get("anyOf", ())):
        if "$ref" in option:
            found: dict[str, Any] = schema["$defs"][option["$ref"].rpartition("/")[2]]
            return found
    return node


@dataclass(frozen=True, slots=True)
class Override:
    """A value that an option of the command line gives to the key at `location`."""

    location: Location
    value: Any
    option: str


def load_config(
    kind: type[Config],
    file: Path | None,
    overrides: Sequence[Override] = (),
    options: Mapping[Location, str] | None = None,
    *,
    assignments: Sequence[str] = (),
) -> Config:
    """The configuration in `file`, if there is one, with `overrides` in place of what it says.

    `assignments` override too: `key=value` or `section.key=value`, each value as YAML. `options`
    names the option of each key that has one: a key that is missing is asked for by it.
    Raises InputError with every problem, at its line or its option: also for what the file asks for
    and the command line does not allow (`constitution.permissions`).
    """
    source = read_yaml_file(file) if file else _NO_FILE
    data, values = copy.deepcopy(source.data), dict(source.values)
    for name, known in kind.model_fields.items() if options else ():
        if section_of(known) and known.is_required():
            data.setdefault(name, {})
            values.setdefault((name,), Place(1, 1))
    problems = [*source.problems]
    given: dict[Location, str] = {}
    for each in (*overrides, *_assigned(assignments, problems)):
        _put(kind, data, each)
        given[each.location] = each.option
        for length in range(1, len(each.location) + 1):
            values.setdefault(each.location[:length], Place(1, 1))
    overridden = _Overridden(
        source.name, data, values, source.keys, tuple(problems), given, options or {}
    )
    config = checked(overridden, kind)
    if file and (problems := refused(overridden.asked_for(config), overridden.where)):
        raise InputError(problems)
    return config


def _assigned(assignments: Sequence[str], problems: list[Problem]) -> Iterator[Override]:
    """What `--set key=value` overrides; `problems` gets those of text of another form."""
    for text in assignments:
        key, _, value = text.partition("=")
        option = f"--set {key}"
        try:
            if not _ASSIGNMENT.fullmatch(text):
                remedy = "write --set key=value, such as learning_rate=1e-5 or lora.r=8"
                raise InputError(Problem("--set", f"{shown(text)} is not a key and value", remedy))
            read = read_yaml(f"value: {value}", option).data["value"]
        except InputError as error:
            problems += error.problems
        else:
            yield Override(tuple(key.split(".")), read, option)


def _put(kind: type[Settings], data: dict[Any, Any], override: Override) -> None:
    """Set a value, making the mappings around it where there are none."""
    section: type[Settings] | None = kind
    for step in override.location[:-1]:
        field = section.model_fields.get(str(step)) if section else None
        section = section_of(field) if field else None
        within = data.get(step)
        if isinstance(within, str) and section and section.plain:
            data[step] = {section.plain: within}
        elif not isinstance(within, dict):
            data[step] = {}
        data = data[step]
    data[override.location[-1]] = override.value


@dataclass(frozen=True, slots=True)
class _Overridden(YamlSource):
    """A file some of whose values come from the command line; problems with those name the option."""

    given: Mapping[Location, str] = field(default_factory=dict)
    options: Mapping[Location, str] = field(default_factory=dict)

    def where(self, location: Location, *, key: bool = False) -> str:
        return self._option(location) or YamlSource.where(self, location, key=key)

    def asked_for(self, config: Settings) -> Iterator[Need]:
        """What the file alone asks for: what an option gives is its own permission."""
        return (need for need in needs_of(config) if not self._option(need.at))

    def _option(self, location: Location) -> str | None:
        """The option that gives the value there, or one around it."""
        inner = (location[:length] for length in range(len(location), 0, -1))
        return next((self.given[at] for at in inner if at in self.given), None)

    def missing(self, location: Location) -> Problem:
        if option := self.options.get(location):
            key = ".".join(map(str, location))
            return Problem(option, "is missing", f"give it, or `{key}` in a file with --config")
        return YamlSource.missing(self, location)
