"""Rows of JSON lines, JSON and CSV, compressed or not; a row that cannot be read says why."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, as_table, json_of, open_table, parse_json, read_json
from engine.prompts.compression import is_compressed, open_bytes
from engine.prompts.file_rows import FileRow, PromptFile, row_of

__all__ = ["csv_file", "json_file", "jsonl_file"]

_MOST_BYTES = 2**30
"""Of a JSON file once it is decompressed: it is held in memory, and a small one may hold gigabytes."""
_REMEDY_UTF8 = "save the file as UTF-8"
csv.field_size_limit(2**31 - 1)  # by default a cell of 128 KiB is an error


def jsonl_file(path: Path, name: str) -> PromptFile:
    """A file with an object on each line."""
    return PromptFile(name, partial(_jsonl_rows, path), unit="")


def _jsonl_rows(path: Path) -> Iterator[FileRow]:
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            text = line.rstrip(b"\r\n").removeprefix(b"\x1e")  # which RFC 7464 puts first
            if not text.strip():
                continue
            try:
                value = parse_json(text, strict=True)
            except NotJson as error:
                column = error.place.rpartition(":")[2]
                what = f"{error} (column {column})" if column else str(error)
                is_text = not isinstance(error.__cause__, UnicodeDecodeError)
                yield FileRow(number, None, what, "" if is_text else _REMEDY_UTF8)
                continue
            if isinstance(value, dict):
                yield FileRow(number, value)
            else:
                yield FileRow(number, None, "is not a JSON object", 'write {"prompt": ...}')


def json_file(path: Path, name: str) -> PromptFile:
    """A file with a list of objects or texts."""
    return PromptFile(name, partial(_json_rows, path))


def _json_rows(path: Path) -> Iterator[FileRow]:
    """A whole .json file is held in memory; JSON lines are not."""
    try:
        value = _json_value(path)
    except InputError as error:
        extra = error.problems[0].what.endswith("Extra data")
        remedy = "one object on each line is JSON lines: name the file .jsonl"
        raise (InputError(replace(error.problems[0], remedy=remedy)) if extra else error) from None
    if not isinstance(value, list):
        what = "is not a list of objects" + (", it is one object" if type(value) is dict else "")
        raise InputError(Problem(str(path), what, 'write [{"prompt": ...}, ...]'))
    for number, item in enumerate(value, 1):
        yield row_of(number, item)


def _json_value(path: Path) -> Any:
    if not is_compressed(path):
        return read_json(path, object, strict=True)
    with open_bytes(path) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        what = f"is larger than {_MOST_BYTES // 1024:,} KiB once decompressed"
        raise InputError(Problem(str(path), what, "save it as JSON lines"))
    return json_of(content, path, object, strict=True)


def csv_file(path: Path, name: str, delimiter: str) -> PromptFile:
    """A table whose first line names its columns. Raises InputError where that is no header."""
    with _table(path) as file:
        try:
            cells = csv.reader(file, delimiter=delimiter, strict=True)
            header = tuple(next(filter(None, cells), []))
        except csv.Error as error:
            raise InputError(Problem(f"{path}:1", f"is not a CSV header: {error}")) from error
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        what = f"has the column {twice[0]!r} more than once"
        raise InputError(Problem(f"{path}:1", what, "rename or drop one"))
    return PromptFile(name, partial(_csv_rows, path, delimiter), columns=header)


def _table(path: Path) -> TextIO:
    return as_table(open_bytes(path)) if is_compressed(path) else open_table(path)


def _csv_rows(path: Path, delimiter: str) -> Iterator[FileRow]:
    with _table(path) as file:
        cells = filter(None, csv.reader(file, delimiter=delimiter, strict=True))
        number = 0
        try:
            header = next(cells, [])
            for number, row in enumerate(cells, 1):
                yield _csv_row(number, header, row)
        except csv.Error as error:
            what = f"cannot be read, nor the rows after it: {error}"
            yield FileRow(number + 1, None, what, "look for a quote that is not closed")


def _csv_row(number: int, header: list[str], cells: list[str]) -> FileRow:
    if len(cells) != len(header):
        what = f"has {len(cells)} cells where the header has {len(header)}"
        return FileRow(number, None, what, "put quotes around cells that hold the separator")
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return FileRow(number, None, "is not UTF-8", _REMEDY_UTF8)
    return FileRow(number, dict(zip(header, cells, strict=True)))
