"""A command's configuration: a YAML file, and options of the command line over single values of it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from constitution.problems import Problem
from constitution.typed_yaml import Settings, checked, read_yaml_file, section_of
from constitution.yaml_source import Location, Place, YamlSource

__all__ = ["Override", "load_config"]

Config = TypeVar("Config", bound=Settings)
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
) -> Config:
    """The configuration in `file`, if there is one, with `overrides` in place of what it says.

    `options` names the option of each key that has one: a key that is missing is asked for by it.
    Raises InputError with every problem, at its line or its option.
    """
    source = read_yaml_file(file) if file else _NO_FILE
    data, values = copy.deepcopy(source.data), dict(source.values)
    for name, known in kind.model_fields.items() if options else ():
        if section_of(known) and known.is_required():
            data.setdefault(name, {})
            values.setdefault((name,), Place(1, 1))
    for each in overrides:
        _put(kind, data, each)
        for length in range(1, len(each.location) + 1):
            values.setdefault(each.location[:length], Place(1, 1))
    given = {each.location: each.option for each in overrides}
    overridden = _Overridden(
        source.name, data, values, source.keys, source.problems, given, options or {}
    )
    return checked(overridden, kind)


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
