"""Fixes what can be fixed without changing what a model reads; everything else in the file stays."""

from collections.abc import Sequence
from pathlib import Path

from constitution.loader import constitution_path
from constitution.problems import InputError, Problem
from constitution.reading import read_bytes
from constitution.yaml_source import decode, read_yaml
from constitution.yaml_writer import SCHEMA_LINE, schema_comment, write_whole

__all__ = ["fix_file", "fix_text"]


def fix_file(source: str) -> bool:
    """Write the fixed text of a file in its place, whole or not at all; whether anything changed.

    A file that is not there is left to who loads it. Raises InputError for text that is no YAML,
    and for a file with fixes to apply that is read-only.
    """
    path = constitution_path(source).resolve()
    if not path.is_file():
        return False
    text = decode(read_bytes(path), source)
    fixed = fix_text(text, path)
    if fixed == text:
        return False
    if not path.stat().st_mode & 0o222:
        remedy = "make it writable, or leave out --fix"
        raise InputError(Problem(source, "is read-only and has fixes to apply", remedy))
    write_whole(path, fixed)
    return True


def fix_text(text: str, path: Path) -> str:
    """The text of the file `path` with trailing white space, repeated tags and a missing schema
    line fixed. Comments, quoting, order and line ends survive. Raises InputError for text that is
    no YAML."""
    fixed = _without_trailing_space(text, str(path))
    fixed = _without_repeated_tags(fixed, str(path))
    if SCHEMA_LINE not in fixed:
        line = schema_comment(path)
        fixed = (line.replace("\n", "\r\n") if "\r\n" in fixed else line) + fixed
    return fixed


def _without_trailing_space(text: str, name: str) -> str:
    """Only where it is not part of what is read, as within a folded or a quoted text."""
    data = read_yaml(text, name).data
    lines = text.splitlines(keepends=True)

    def strip(numbers: Sequence[int]) -> None:
        """All at once where that changes nothing, else either half by itself."""
        before = [lines[number] for number in numbers]
        for number in numbers:
            lines[number] = _stripped(lines[number])
        if numbers and read_yaml("".join(lines), name).data != data:
            for number, line in zip(numbers, before, strict=True):
                lines[number] = line
            if half := len(numbers) // 2:
                strip(numbers[:half])
                strip(numbers[half:])

    strip([number for number, line in enumerate(lines) if line != _stripped(line)])
    return "".join(lines)


def _stripped(line: str) -> str:
    """Without spaces and tabs before the line break."""
    text = line.removesuffix("\n").removesuffix("\r")
    return text.rstrip(" \t") + line[len(text) :]


def _without_repeated_tags(text: str, name: str) -> str:
    """Flow lists `[a, b, a]` lose the later one, block lists its line."""
    source = read_yaml(text, name)
    lines = text.splitlines(keepends=True)
    seen: dict[tuple[object, ...], set[str]] = {}
    doomed: list[tuple[int, int, str]] = []
    for location, place in source.values.items():
        if len(location) > 1 and location[-2] == "tags" and isinstance(location[-1], int):
            value = place.spelling or ""
            known = seen.setdefault(location[:-1], set())
            if value in known:
                doomed.append((place.line, place.column, value))
            known.add(value)
    for line, column, value in sorted(doomed, reverse=True):
        row = lines[line - 1]
        before, after = row[: column - 1], row[column - 1 + len(value) :]
        if before.strip() == "-":
            del lines[line - 1]
        else:
            comma = before.rstrip()
            lines[line - 1] = (comma[:-1] if comma.endswith(",") else before) + after
    return "".join(lines)
