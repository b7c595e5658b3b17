"""Prompt files of every kind, one or several, as rows that are streamed."""

import difflib
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from constitution.problems import InputError, Problem
from engine.prompts.arrow_files import is_saved_dataset, parquet_file, saved_dataset
from engine.prompts.compression import is_compressed, kind_of
from engine.prompts.file_rows import FileRow, PromptFile, in_memory
from engine.prompts.hub import HUB, hub_dataset
from engine.prompts.standard_input import STANDARD_INPUT, STDIN_NAME, spooled
from engine.prompts.text_files import csv_file, json_file, jsonl_file

__all__ = [
    "FileRow",
    "PromptFile",
    "in_memory",
    "matching",
    "named_sources",
    "open_prompt_file",
    "source_parts",
]

FORMATS = (
    ".jsonl, .ndjson, .json, .csv or .tsv (also .gz and .zst), .parquet, a folder of such files or "
    "one saved by datasets, or hf:NAME"
)
_TEXT_KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")


def open_prompt_file(source: str | Path) -> PromptFile:
    """The rows of a file, of several (a folder, a pattern, or names with commas between), of a saved
    data set, of `hf:NAME[:split][?options]`, or of standard input (`-`). Raises InputError."""
    if isinstance(source, Path):
        return _opened(str(source))
    named = named_sources(source)
    return _opened(named[0]) if len(named) == 1 else _together(source, map(_opened, named))


def named_sources(source: str) -> tuple[str, ...]:
    """The files, folders and data sets that one text names, each once and patterns as what they
    match. Raises InputError for a pattern that matches nothing."""
    found: list[str] = []
    for part in source_parts(source):
        matches = matching(part)
        if not matches:
            raise InputError(Problem(part, "matches no file", "check the pattern and the folder"))
        found += matches
    return tuple(dict.fromkeys(found))


def source_parts(source: str, folder: Path = Path()) -> tuple[str, ...]:
    """The names in a text, which is a list with commas unless a file in `folder` is called so."""
    if source.startswith(HUB) or os.path.exists(folder / source):
        return (source,)
    return tuple(filter(None, map(str.strip, source.split(",")))) or (source,)


def matching(part: str) -> Sequence[str]:
    """What a name stands for: itself, unless it is a pattern and no file is called so."""
    is_pattern = not part.startswith(HUB) and not os.path.exists(part) and glob.has_magic(part)
    return sorted(glob.glob(part, recursive=True)) if is_pattern else [part]


def _opened(name: str) -> PromptFile:
    """One file, folder or data set."""
    if name == STANDARD_INPUT:
        return _standard_input()
    if name.startswith(HUB):
        return hub_dataset(name)
    path = Path(name)
    if not path.exists():
        _refuse_missing(path)
    if not path.is_dir():
        return _of_kind(path, name)
    return saved_dataset(path) if is_saved_dataset(path) else _folder(path)


def _standard_input() -> PromptFile:
    """Under its own name: nobody knows the temporary file."""
    path = spooled()

    def renamed(error: InputError) -> InputError:
        return InputError(
            replace(problem, where=problem.where.replace(str(path), STDIN_NAME))
            for problem in error.problems
        )

    try:
        file = _of_kind(path, STDIN_NAME)
    except InputError as error:
        raise renamed(error) from error

    def rows() -> Iterator[FileRow]:
        try:
            yield from file.read()
        except InputError as error:
            raise renamed(error) from error

    return replace(file, read=rows)


def _of_kind(path: Path, name: str) -> PromptFile:
    return replace(_reader(path, name), files=(path,))


def _reader(path: Path, name: str) -> PromptFile:
    match kind_of(path):
        case ".jsonl" | ".ndjson":
            return jsonl_file(path, name)
        case ".json":
            return json_file(path, name)
        case ".csv":
            return csv_file(path, name, ",")
        case ".tsv":
            return csv_file(path, name, "\t")
        case ".parquet" if not is_compressed(path):
            return parquet_file(path, name)
    raise InputError(Problem(name, "is not a kind of prompt file known here", f"give {FORMATS}"))


def _folder(path: Path) -> PromptFile:
    """The files of known kinds that lie in a folder, by name."""
    entries = sorted(path.iterdir())
    files = [entry for entry in entries if entry.is_file() and _is_known(entry)]
    if not files:
        what = "is a folder without prompt files, and not one that datasets' save_to_disk wrote"
        remedy = f"give {FORMATS}"
        if any(entry.is_dir() for entry in entries):
            remedy = f"name files in its folders with a pattern ({path}/**/*.jsonl), or hf:{path}"
        raise InputError(Problem(str(path), what, remedy))
    return _together(str(path), (_of_kind(file, str(file)) for file in files))


def _is_known(path: Path) -> bool:
    kind = kind_of(path)
    known = kind in _TEXT_KINDS or (kind == ".parquet" and not is_compressed(path))
    return known and not path.name.startswith(".")


def _together(name: str, opened: Iterator[PromptFile]) -> PromptFile:
    """Several files one after the other. A row lacks the columns that its own file lacks."""
    files = tuple(opened)
    if len(files) == 1:
        return files[0]
    columns = {file.columns for file in files}
    same = columns.pop() if len(columns) == 1 else None
    return PromptFile(
        name,
        lambda: _chained(files),
        same,
        files=tuple(path for file in files for path in file.files),
    )


def _chained(files: Sequence[PromptFile]) -> Iterator[FileRow]:
    for file in files:
        for row in file.read():
            yield row if row.file else replace(row, file=file)


def _refuse_missing(path: Path) -> NoReturn:
    folder = path.parent
    if not folder.is_dir():
        raise InputError(Problem(str(path), "does not exist", f"there is no folder {folder}"))
    near = difflib.get_close_matches(path.name, [entry.name for entry in folder.iterdir()], n=1)
    remedy = f"did you mean {folder / near[0]}?" if near else f"{folder} holds nothing of that name"
    raise InputError(Problem(str(path), "does not exist", remedy))
