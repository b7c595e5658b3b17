"""A command's configuration: a YAML file, and options of the command line over single values of it."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from constitution.problems import InputError, Problem
from constitution.typed_yaml import Settings, checked, read_yaml_file, section_of
from constitution.yaml_source import Location, Place, YamlSource, read_yaml, shown

__all__ = ["Override", "load_config"]

Config = TypeVar("Config", bound=Settings)
_ASSIGNMENT = re.compile(r"[a-z_]+(\.[a-z_]+)*=.*", re.DOTALL)
_NO_FILE = YamlSource("the command line", {}, {(): Place(1, 1)}, {})


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
    Raises InputError with every problem, at its line or its option.
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
    return checked(overridden, kind)


def _assigned(assignments: Sequence[str], problems: list[Problem]) -> Iterator[Override]:
    """What `--set key=value` overrides; `problems` gets those of text of another form."""
    for text in assignments:
        key, _, value = text.partition("=")
        option = f"--set {key}"
        try:
            if not _ASSIGNMENT.fullmatch(text):
                remedy = "write --set key=value, such as learning_rate=1e-5 or lora.r=8"
                raise InputError(Problem("--set", f"{shown(text)} is no key and value", remedy))
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
        for length in range(len(location), 0, -1):
            if option := self.given.get(location[:length]):
                return option
        return YamlSource.where(self, location, key=key)

    def missing(self, location: Location) -> Problem:
        if option := self.options.get(location):
            key = ".".join(map(str, location))
            return Problem(option, "is missing", f"give it, or `{key}` in a file with --config")
        return YamlSource.missing(self, location)
