"""Prompts from standard input, `-`: kept in a temporary file, since prompts are read twice."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from constitution.problems import InputError, Problem

__all__ = ["STANDARD_INPUT", "STDIN_NAME", "spooled"]

STANDARD_INPUT = "-"
STDIN_NAME = "<stdin>"
"""What it is called in messages and manifests."""
_KINDS = {b"\x1f\x8b": ".jsonl.gz", b"\x28\xb5\x2f\xfd": ".jsonl.zst", b"PAR1": ".parquet"}
"""What files of some kinds begin with."""
_FOLDERS: list[TemporaryDirectory[str]] = []
"""They are deleted when the process ends."""


def spooled() -> Path:
    """A file of what standard input holds: JSON lines or a JSON list, as text or compressed, or
    Parquet. Raises InputError where it is a terminal or closed, and when the disk is full."""
    stream: BinaryIO | None = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        what = "is a terminal" if stream else "is closed"
        remedy = "pipe prompts in as JSON lines, or name a file"
        raise InputError(Problem("standard input", what, remedy))
    folder = TemporaryDirectory(prefix="solon-prompts-")
    _FOLDERS.append(folder)
    path = Path(folder.name) / "prompts"
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
    except OSError as error:
        what = f"cannot be kept in a temporary file ({error.strerror or error})"
        remedy = "free some space, or set TMPDIR to a folder with more"
        raise InputError(Problem("standard input", what, remedy)) from error
    return path.rename(path.with_suffix(_kind(path)))


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    for magic, suffix in _KINDS.items():
        if start.startswith(magic):
            return suffix
    is_list = start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    return ".json" if is_list else ".jsonl"
