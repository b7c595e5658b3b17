"""Rows of every kind of prompt file, streamed; a row that cannot be read says why."""

import csv
import difflib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, open_regular, open_table, parse_json, read_json

__all__ = ["FileRow", "PromptFile", "in_memory", "open_prompt_file"]

FORMATS = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet, a folder saved by datasets, or hf:NAME"
_BATCH = 256
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_REMEDY_UTF8 = "save the file as UTF-8"
csv.field_size_limit(2**31 - 1)  # by default a cell of 128 KiB is an error


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row: its columns, or what makes it unreadable. `number` is the line, or counts from 1."""

    number: int
    value: Mapping[str, Any] | None
    what: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A file that can be read from the start as often as needed."""

    name: str
    read: Callable[[], Iterator[FileRow]]
    columns: tuple[str, ...] | None = None
    """Known where every row has the same."""
    unit: str = "row "

    def where(self, row: FileRow) -> str:
        """`file:LINE`, or `file:row N` where rows are not lines."""
        return f"{self.name}:{self.unit}{row.number}"


def open_prompt_file(source: str | Path) -> PromptFile:
    """The rows of a file, a saved data set or `hf:NAME[:split]`. Raises InputError."""
    name = str(source)
    if name.startswith("hf:"):
        return _hub(name)
    path = Path(source)
    if not path.exists():
        _refuse_missing(path)
    if path.is_dir():
        return _saved_dataset(path)
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return PromptFile(name, partial(_jsonl_rows, path), unit="")
        case ".json":
            return PromptFile(name, partial(_json_rows, path))
        case ".csv":
            return _csv(path, ",")
        case ".tsv":
            return _csv(path, "\t")
        case ".parquet":
            return _parquet(path)
    raise InputError(Problem(name, "is not a kind of prompt file known here", f"give {FORMATS}"))


def in_memory(items: Iterable[Any], name: str = "prompts") -> PromptFile:
    """Rows from objects, or from texts that are prompts; re-read only if `items` can be."""
    return PromptFile(name, lambda: map(_row, count(1), items))


def _row(number: int, item: Any) -> FileRow:
    match item:
        case str():
            return FileRow(number, {"prompt": item})
        case Mapping():
            return FileRow(number, item)
    return FileRow(number, None, f"is {type(item).__name__}, not an object or a text")


def _refuse_missing(path: Path) -> NoReturn:
    folder = path.parent
    if not folder.is_dir():
        raise InputError(Problem(str(path), "does not exist", f"there is no folder {folder}"))
    near = difflib.get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=1)
    remedy = f"did you mean {folder / near[0]}?" if near else f"{folder} holds nothing of that name"
    raise InputError(Problem(str(path), "does not exist", remedy))


def _jsonl_rows(path: Path) -> Iterator[FileRow]:
    with open_regular(path) as file:
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


def _json_rows(path: Path) -> Iterator[FileRow]:
    """A whole .json file is held in memory; JSON lines are not."""
    try:
        value = read_json(path, object, strict=True)
    except InputError as error:
        extra = error.problems[0].what.endswith("Extra data")
        remedy = "one object on each line is JSON lines: name the file .jsonl"
        raise (InputError(replace(error.problems[0], remedy=remedy)) if extra else error) from None
    if not isinstance(value, list):
        what = "is not a list of objects" + (", it is one object" if type(value) is dict else "")
        raise InputError(Problem(str(path), what, 'write [{"prompt": ...}, ...]'))
    yield from map(_row, count(1), value)


def _csv(path: Path, delimiter: str) -> PromptFile:
    with open_table(path) as file:
        try:
            header = next(csv.reader(file, delimiter=delimiter), [])
        except csv.Error as error:
            raise InputError(Problem(f"{path}:1", f"is not a CSV header: {error}")) from error
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        what = f"has the column {twice[0]!r} more than once"
        raise InputError(Problem(f"{path}:1", what, "rename or drop one"))
    rows = partial(_csv_rows, path, delimiter)
    return PromptFile(str(path), rows, columns=tuple(header))


def _csv_rows(path: Path, delimiter: str) -> Iterator[FileRow]:
    with open_table(path) as file:
        cells = filter(None, csv.reader(file, delimiter=delimiter, strict=True))
        header = next(cells, [])
        number = 0
        try:
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


def _parquet(path: Path) -> PromptFile:
    try:
        from pyarrow import parquet
    except ImportError as error:
        _refuse_without_extra(str(path), "pyarrow", error)
    try:
        with parquet.ParquetFile(path) as file:
            columns = tuple(file.schema_arrow.names)
    except Exception as error:  # of a damaged file Arrow raises whatever it meets
        what = f"is not a Parquet file ({_brief(error)})"
        raise InputError(Problem(str(path), what, "write the file again")) from error

    def batches() -> Iterator[Any]:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=_BATCH)

    return PromptFile(str(path), lambda: _arrow_rows(str(path), batches()), columns)


def _arrow_rows(name: str, batches: Iterator[Any]) -> Iterator[FileRow]:
    number = 0
    try:
        for batch in batches:
            for row in batch.to_pylist():
                number += 1
                yield FileRow(number, {column: _plain(value) for column, value in row.items()})
    except Exception as error:
        what = f"the rows from {number + 1} on cannot be read ({_brief(error)})"
        raise InputError(Problem(name, what, "write the file again")) from error


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _plain(value: Any) -> Any:
    """Dates and decimals as text, NaN (as pandas writes what is missing) as null: records are JSON."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal() | timedelta():
            return str(value)
        case float() if math.isnan(value):
            return None
    return value


def _saved_dataset(path: Path) -> PromptFile:
    if (path / "dataset_dict.json").exists():
        splits = read_json(path / "dataset_dict.json", dict).get("splits")
        named = splits if isinstance(splits, list) else ["SPLIT"]
        remedy = "give " + " or ".join(str(path / str(split)) for split in named)
        raise InputError(Problem(str(path), "holds several splits", remedy))
    if not (path / "state.json").exists():
        what = "is a folder, and not one that datasets' save_to_disk wrote"
        raise InputError(Problem(str(path), what, f"give {FORMATS}"))
    try:
        from datasets import load_from_disk
    except ImportError as error:
        _refuse_without_extra(str(path), "datasets", error)
    try:
        return _dataset(str(path), load_from_disk(str(path)))
    except Exception as error:
        what = f"cannot be loaded ({_brief(error)})"
        raise InputError(Problem(str(path), what, "save the data set again")) from error


def _hub(source: str) -> PromptFile:
    _, name, split = [*source.split(":", 2), "train"][:3]
    if not _HUB_NAME.fullmatch(name):  # datasets would read a folder, or any address
        what = f"{name!r} is not the name of a data set on a hub"
        raise InputError(Problem(source, what, "write hf:NAME or hf:OWNER/NAME, or the path alone"))
    try:
        from datasets import load_dataset
    except ImportError as error:
        _refuse_without_extra(source, "datasets", error)
    try:
        dataset = load_dataset(name, split=split)
    except (ValueError, OSError) as error:  # no such data set, configuration or split; no network
        what = f"cannot be loaded: {error}"
        raise InputError(Problem(source, what, "check the name, and the split after it")) from error
    return _dataset(source, dataset)


def _dataset(name: str, dataset: Any) -> PromptFile:
    def batches() -> Iterator[Any]:
        return iter(dataset.with_format("arrow").iter(batch_size=_BATCH))

    return PromptFile(name, lambda: _arrow_rows(name, batches()), tuple(dataset.column_names))


def _refuse_without_extra(source: str, package: str, error: ImportError) -> NoReturn:
    what = f"needs {package}, which is missing"
    raise InputError(Problem(source, what, "pip install 'solon[data]'")) from error
