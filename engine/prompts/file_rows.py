"""A row of a prompt file, and a file as rows that can be read as often as needed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from engine.prompts.plain_values import NO_VALUES, PlainValues, Replaced, TooDeep

__all__ = ["FileRow", "PromptFile", "in_memory", "plain_row", "row_of"]


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row: its columns, or what makes it unreadable. `number` is the line, or counts from 1."""

    number: int
    value: Mapping[str, Any] | None
    what: str = ""
    remedy: str = ""
    replaced: Replaced = NO_VALUES
    """How many of its values JSON cannot hold, and what they became."""
    file: Optional["PromptFile"] = None
    """Where it is from, if several files are read as one."""


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A file that can be read from the start as often as needed."""

    name: str
    read: Callable[[], Iterator[FileRow]]
    columns: tuple[str, ...] | None = None
    """Known where every row has the same."""
    unit: str = "row "
    files: tuple[Path, ...] = ()
    """Those that it reads, where they are files that somebody else may write to."""

    def where(self, row: FileRow) -> str:
        """`file:LINE`, or `file:row N` where rows are not lines."""
        file = row.file or self
        return f"{file.name}:{file.unit}{row.number}"


def in_memory(items: Iterable[Any], name: str = "prompts") -> PromptFile:
    """Rows from objects, or from texts that are prompts; re-read only if `items` can be."""

    def rows() -> Iterator[FileRow]:
        for number, item in enumerate(items, 1):
            yield plain_row(number, item) if isinstance(item, Mapping) else row_of(number, item)

    return PromptFile(name, rows)


def row_of(number: int, item: Any) -> FileRow:
    """The row that one item of a list is: an object, or a text that is a prompt."""
    match item:
        case str():
            return FileRow(number, {"prompt": item})
        case Mapping():
            return FileRow(number, item)
    return FileRow(number, None, f"is {type(item).__name__}, not an object or a text")


def plain_row(number: int, item: Mapping[str, Any]) -> FileRow:
    """A row whose values may be of any library: JSON holds all of them afterwards."""
    values = PlainValues()
    try:
        value = values.row(item)
    except TooDeep as error:
        return FileRow(number, None, str(error), error.remedy)
    return FileRow(number, value, replaced=values.replaced)
