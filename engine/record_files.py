"""The files of a run, read back row by row."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from constitution.problems import InputError, Problem
from engine.records import Failure, Record
from engine.storage.jsonl import numbered_jsonl

__all__ = ["read_failures", "read_records", "read_rows"]

Row = TypeVar("Row", bound=BaseModel)

_WORD = re.compile(r"(?<!\A)(?=[A-Z])")
"""Where a word begins within the name of a class."""


def read_records(run_dir: Path) -> Iterator[Record]:
    """Records of a revise run. Raises as `read_rows` does."""
    return read_rows(run_dir / "records.jsonl", Record)


def read_failures(run_dir: Path) -> Iterator[Failure]:
    """Failures of any run. Raises as `read_rows` does."""
    return read_rows(run_dir / "failures.jsonl", Failure)


def read_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """Rows in the order they were written, one at a time: a run may have a million. There are none
    in a file that is missing; a torn last line, which resuming repairs, is left out.

    Raises InputError, with the line, for a line that is not of its `kind`.
    """
    for number, line in numbered_jsonl(path) if path.is_file() else ():
        try:
            yield kind.model_validate(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            name = _WORD.sub(" ", kind.__name__).lower()
            what = f"is not a {name} ({field}: {first['msg']})"
            remedy = "restore the file, or run again into an empty directory"
            raise InputError(Problem(f"{path}:{number}", what, remedy)) from error
