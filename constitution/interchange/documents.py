"""Files in which people keep principles, as the data that the formats read: JSON, JSON lines, YAML, CSV,
Markdown and plain text."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constitution.interchange.markdown import read_prose
from constitution.problems import InputError, Problem
from constitution.reading import NotJson, parse_json
from constitution.yaml_silence import silent_changes
from constitution.yaml_source import Location, YamlSource, read_text, read_yaml

__all__ = ["Document", "read_document"]

_TABLES = {".csv": ",", ".tsv": "\t"}
_PROSE = (".md", ".markdown", ".txt")
_YAML = (".yaml", ".yml")
_ENDINGS = (
    "its name should end in .json, .jsonl, .yaml, .csv, .tsv, .md or .txt, as its content does"
)
_HEAD = ("name", "title", "version", "description")


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds, and what of it the data does not say, a sentence each."""

    data: Any
    notes: tuple[str, ...] = ()


def read_document(path: Path) -> Document:
    """Read a file by the ending of its name; a .txt file may be JSON. Raises InputError."""
    text, suffix = read_text(path), path.suffix.lower()
    if suffix in _YAML:
        data = _spelled(_checked(read_yaml(text, str(path))), ())
        cut = [one for one in silent_changes(text) if one.code != "SC405"]
        return Document(data, tuple(f"line {one.line}: {one.why}; {one.remedy}" for one in cut))
    if suffix in _TABLES:
        return Document(_table(text, _TABLES[suffix], path))
    try:
        return Document(_json(text, path))
    except InputError:
        if suffix not in _PROSE:
            raise
    return _prose(text, path)


def _json(text: str, path: Path) -> Any:
    """What a JSON file holds; a file of JSON lines is a list of its lines.

    Raises InputError where it is neither, nests too deep or gives a key twice.
    """
    try:
        data = parse_json(text, strict=True)
    except NotJson as error:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            if len(lines) > 1:
                return [parse_json(line, strict=True) for line in lines]
        except NotJson as of_line:
            error = error if of_line.place else of_line
        place = f"{path}:{error.place}" if error.place else str(path)
        raise InputError(Problem(place, str(error), _ENDINGS)) from None
    return [data] if isinstance(data, dict) and "trait" in data else data


def _checked(source: YamlSource) -> YamlSource:
    if source.problems:
        raise InputError(source.problems)
    return source


def _spelled(source: YamlSource, at: Location, data: Any = ...) -> Any:
    """The data with every scalar as the text that was typed (`no`, `010`, `1.10`), and merge keys
    (`<<`) merged: what people keep is text."""
    value = source.data if data is ... else data
    match value:
        case dict():
            inner = {key: _spelled(source, (*at, key), one) for key, one in value.items()}
            merged = inner.pop("<<", {})
            for base in merged if isinstance(merged, list) else [merged]:
                inner = (base if isinstance(base, dict) else {}) | inner
            return inner
        case list():
            return [_spelled(source, (*at, index), one) for index, one in enumerate(value)]
        case str() | None:
            return value
    return source.values[at].spelling


def _table(text: str, delimiter: str, path: Path) -> list[dict[str, Any]]:
    """The rows of a table by its header; `;` and tabs are taken for commas where the header has them."""
    first = text.split("\n", 1)[0]
    delimiter = max((delimiter, ";", "\t"), key=first.count)
    try:
        head, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        what = f"is not a table: {error}" if text.strip() else "is empty"
        raise InputError(
            Problem(str(path), what, "quote cells that hold commas, quotes or line breaks")
        ) from None
    found = []
    for number, row in enumerate(rows, 2):
        if len(row) > len(head):
            what = f"row {number} has {len(row)} cells where the header has {len(head)}"
            raise InputError(Problem(str(path), what, "quote cells that hold commas"))
        if any(cell.strip() for cell in row):
            found.append(dict(zip(head, row, strict=False)))
    if len(head) == 1 and " " in head[0].strip():  # no header, but a sentence
        return [{"statement": cell} for cell in (head[0], *(row[head[0]] for row in found))]
    return found


def _prose(text: str, path: Path) -> Document:
    prose = read_prose(text)
    head: dict[str, Any] = {"description": prose.title, "preamble": prose.preamble}
    if prose.front_matter.strip():
        front = _spelled(_checked(read_yaml(prose.front_matter, str(path))), ())
        head |= {key: front[key] for key in _HEAD if isinstance(front, dict) and key in front}
    notes = tuple(f"left out: {said[:200]!r}" for said in prose.left_out if said.strip())
    kept = {key: value for key, value in head.items() if value}
    return Document(kept | {"principles": prose.rows}, notes)
