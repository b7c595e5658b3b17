"""Files that people and other programs wrote, read so that none can hang, flood or crash a command.

Only regular files are opened: a pipe or a device may never end. What cannot be read ends in one
InputError that names the file, the line where it is known, and what to do.
"""

import errno
import json
import math
import os
import stat
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TextIO, TypeVar

from constitution.problems import InputError, Problem

__all__ = [
    "NotJson",
    "as_table",
    "finite_number",
    "json_of",
    "open_regular",
    "open_table",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_text",
    "without_surrogates",
]

Value = TypeVar("Value")

_MAX_BYTES = 2**30
_MAX_DEPTH = 200
"""Of lists and objects in one another. Python's own bound depends on how deep the caller is."""
_KINDS: dict[type[Any], str] = {dict: "a JSON object", list: "a JSON list", str: "a JSON text"}


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading bytes. Raises OSError, also for a folder, a pipe or a device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "not a regular file but a pipe or a device", str(path))
    return os.fdopen(descriptor, "rb")


def open_table(path: Path) -> TextIO:
    """Open a CSV file: UTF-8, line ends as they are; what is not UTF-8 becomes half surrogate pairs,
    so that the row can be named. Raises InputError."""
    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:
        raise InputError(_unreadable(path, error, "")) from None
    return as_table(file)


def as_table(file: BinaryIO) -> TextIO:
    """The text of a CSV file, as `open_table` gives it."""
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _unreadable(path: Path, error: Exception, remedy: str) -> Problem:
    """What an OSError, or a ValueError for a NUL in the name, means."""
    what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return Problem(str(path), what, remedy or "is it a file that you may read?")


def read_bytes(path: Path, remedy: str = "", *, most: int = _MAX_BYTES) -> bytes:
    """The content of a file of at most `most` bytes. Raises InputError."""
    try:
        with open_regular(path) as file:
            content = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise InputError(_unreadable(path, error, remedy)) from None
    if len(content) > most:
        raise InputError(Problem(str(path), f"is larger than {most // 1024:,} KiB", remedy))
    return content


def read_text(path: Path, remedy: str = "") -> str:
    """The text of a file without a byte order mark. Raises InputError, also if it is not UTF-8."""
    return _text_of(read_bytes(path, remedy), path)


def _text_of(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where, what = f"{path}:{line}", f"is not UTF-8 (byte 0x{content[error.start]:02x})"
        raise InputError(Problem(where, what, "save it as UTF-8")) from None


def read_json(path: Path, kind: type[Value], remedy: str = "", *, strict: bool = False) -> Value:
    """The value of a JSON file, which must be of `kind` at the top.

    Raises InputError as `read_text` does, and with line and column where it is not JSON. `strict`
    as of `parse_json`.
    """
    return json_of(read_bytes(path, remedy), path, kind, remedy, strict=strict)


def json_of(
    content: bytes, path: Path, kind: type[Value], remedy: str = "", *, strict: bool = False
) -> Value:
    """The value of what was read from a JSON file. Raises InputError as `read_json` does."""
    text = _text_of(content, path)
    try:
        value = parse_json(text, strict=strict)
    except NotJson as error:
        where = f"{path}:{error.place}" if error.place else str(path)
        raise InputError(Problem(where, str(error), remedy)) from None
    if not isinstance(value, kind):
        what = f"is not {_KINDS.get(kind, kind.__name__)}"
        raise InputError(Problem(str(path), what, remedy))
    return value


class NotJson(ValueError):
    """Why a text is not JSON that can be worked with; `place` is `line:column`, if known."""

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(what)
        self.place = place


def parse_json(text: str | bytes, *, strict: bool = False) -> Any:
    """The value of a JSON text, nested at most 200 levels deep. Raises NotJson.

    `strict` also refuses a key that is there twice, NaN and infinities. Otherwise these are as
    Python has them, and half a surrogate pair is replaced: it could not be written again.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = (_STRICT if strict else _LENIENT).decode(text)
    except UnicodeDecodeError as error:
        raise NotJson(f"is not UTF-8 (byte {error.start + 1})") from error
    except json.JSONDecodeError as error:
        raise NotJson(f"is not JSON: {error.msg}", f"{error.lineno}:{error.colno}") from error
    except RecursionError:
        raise NotJson("is not JSON: nested too deeply") from None
    except ValueError as error:  # a repeated key, or a number of thousands of digits
        raise NotJson(f"is not JSON: {error}") from error
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_too_deep(value):
        raise NotJson("is not JSON: nested too deeply")
    return value if strict or "\\u" not in text else _clean(value)


def finite_number(value: Any) -> float | None:
    """A number that a file or a server gave; None for another value, true and false too, and for one
    that is not finite, or beyond what a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _clean(value: Any) -> Any:
    match value:
        case str():
            return without_surrogates(value)
        case list():
            return [_clean(one) for one in value]
        case dict():
            return {without_surrogates(key): _clean(one) for key, one in value.items()}
    return value


def without_surrogates(text: str) -> str:
    """`text` as Unicode that can be written: half a surrogate pair becomes U+FFFD, a pair in two
    halves the character it stands for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, one in pairs:
        if key in value:
            raise ValueError(f"the key {key!r} is there twice")
        value[key] = one
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
_LENIENT = json.JSONDecoder()
