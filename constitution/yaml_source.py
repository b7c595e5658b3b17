"""YAML as plain data in which every value knows the line and column it came from.

A file's size, its depth and what its aliases expand to are bounded before they cost memory.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from constitution.problems import InputError, Problem
from constitution.reading import read_bytes
from constitution.yaml_advice import odd_character, syntax_problem

__all__ = [
    "MAX_BYTES",
    "Location",
    "Place",
    "YamlSource",
    "decode",
    "read_text",
    "read_yaml",
    "shown",
]

MAX_BYTES = 2**20
"""Size of a file, and of what it says once aliases are expanded."""
_MAX_VALUES = 100_000
_MAX_DEPTH = 32
_STANDARD = "tag:yaml.org,2002:"
_TAGS = {_STANDARD + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")

Location = tuple[str | int, ...]
"""Keys and indices from the root to a value, as pydantic gives them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands (from 1) and how it is spelt there, if it is a scalar."""

    line: int
    column: int
    spelling: str = ""


@dataclass(frozen=True, slots=True)
class YamlSource:
    """A parsed file: its data, where each value and key is, and what is already known wrong."""

    name: str
    data: Any
    values: Mapping[Location, Place]
    keys: Mapping[Location, Place]
    problems: tuple[Problem, ...] = ()

    def place(self, location: Location, *, key: bool = False) -> Place:
        """Of the value at `location` (or its key), or of the nearest thing around it that is there."""
        if key and location in self.keys:
            return self.keys[location]
        while location and location not in self.values:
            location = location[:-1]
        return self.values[location]

    def where(self, location: Location, *, key: bool = False) -> str:
        """`file:line:column` of `place`."""
        place = self.place(location, key=key)
        return f"{self.name}:{place.line}:{place.column}"

    def missing(self, location: Location) -> Problem:
        """What to say of a key that must be there and is not."""
        return Problem(self.where(location[:-1]), f"has no {location[-1]!r}", "add it")


def shown(value: object, limit: int = 60) -> str:
    """A value as one short line, whatever it holds."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def decode(content: bytes, name: str) -> str:
    """The text of a file, without a byte order mark. Raises InputError unless it is UTF-8."""
    if len(content) > MAX_BYTES:
        what, remedy = f"is larger than {MAX_BYTES // 1024:,} KiB", "is this a constitution?"
        raise InputError(Problem(name, what, remedy))
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        what = f"is not UTF-8 (byte 0x{content[error.start]:02x})"
        raise InputError(Problem(f"{name}:{line}:{column}", what, "save it as UTF-8")) from None


def read_text(path: Path) -> str:
    """Of a file. Raises InputError unless it can be read, is UTF-8 and not too large."""
    return decode(read_bytes(path, most=MAX_BYTES + 1), str(path))


def read_yaml(text: str, name: str, *, any_text: bool = False) -> YamlSource:
    """Parse one YAML document. Raises InputError if that is not possible; wrong keys and values
    are collected in `problems`, so that the rest can still be checked."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        decode(text.encode("utf-8", "replace"), name)
    root = _compose(text, name)
    if root is None:
        what, remedy = "holds no constitution", "start with `name:` and `principles:`"
        raise InputError(Problem(f"{name}:1:1", what, remedy))
    builder = _Builder(name, any_text)
    data = builder.build(root, ())
    return YamlSource(name, data, builder.values, builder.keys, tuple(builder.problems))


def _compose(text: str, name: str) -> yaml.Node | None:
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.YAMLError as error:
        raise InputError(syntax_problem(error, text, name)) from None
    except (ValueError, OverflowError):  # PyYAML asks chr() for an escape that is not a character
        where = f"{name}:{loader.line + 1}:{loader.column + 1}" if loader else name
        raise InputError(Problem(where, "this escape is not a character", "write it out")) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with a bound on depth; dates, `=` and `<<` are text, as nothing in a
    constitution is anything else; `1e-3` is a number, as in YAML 1.2."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag in _TAGS]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    f"{_STANDARD}float",
    re.compile(r"\A[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


@dataclass(slots=True)
class _Builder:
    """Turns nodes into data, following aliases as far as the bounds allow."""

    name: str
    any_text: bool
    values: dict[Location, Place] = field(default_factory=dict)
    keys: dict[Location, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    size: int = 0

    def build(self, node: yaml.Node, location: Location) -> Any:
        """The data of `node`, which stands at `location`. Raises InputError beyond the bounds."""
        self._check_bounds(node, location)
        self.values[location] = _place(node)
        if node.tag not in _TAGS:
            self._tell(
                node, f"{shown(_short(node.tag))} is a YAML tag", "quote text that starts so"
            )
        match node:
            case yaml.MappingNode():
                return self._mapping(node, location)
            case yaml.SequenceNode():
                return [self.build(item, (*location, i)) for i, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node)

    def _check_bounds(self, node: yaml.Node, location: Location) -> None:
        self.size += len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        within = self.size <= MAX_BYTES and len(self.values) <= _MAX_VALUES
        if within and len(location) <= _MAX_DEPTH:
            return
        self._tell(
            node,
            "too large or too deep with its aliases (`*name`) expanded",
            "write it out shorter",
        )
        raise InputError(self.problems)

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._tell(key, "a key must be text", "write `key: value`")
                continue
            inner = (*location, key.value)
            if odd := odd_character(str(key.value)):
                self._tell(key, f"a key with white space in it: {odd[1]}", odd[2])
            if key.value in data:
                what = f"the key {shown(key.value)} came before, on line {self.keys[inner].line}"
                self._tell(key, what, "keep one of them")
                continue
            self.keys[inner] = _place(key)
            data[key.value] = self.build(value, inner)
        return data

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if not self.any_text and _HALF_CHARACTER.search(text):
            self._tell(node, "holds half of a character", "write the character itself")
            return _HALF_CHARACTER.sub("?", text)
        if node.tag not in _TAGS:
            return text
        try:
            return yaml.constructor.SafeConstructor().construct_object(node)
        except (
            ValueError,
            KeyError,
        ):  # what !!int and friends say of other text, or of 5000 digits
            self._tell(node, f"{shown(text)} cannot be read as {_short(node.tag)}", "quote text")
            return text

    def _tell(self, node: yaml.Node, what: str, remedy: str) -> None:
        place = _place(node)
        self.problems.append(Problem(f"{self.name}:{place.line}:{place.column}", what, remedy))


def _place(node: yaml.Node) -> Place:
    mark = node.start_mark
    spelling = node.value if isinstance(node, yaml.ScalarNode) else ""
    return Place(mark.line + 1, mark.column + 1, spelling)


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_STANDARD)}" if tag.startswith(_STANDARD) else tag
