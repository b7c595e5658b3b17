"""Output directories that are written whole or not at all, and never over something else."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from constitution.problems import InputError, Problem

__all__ = ["check_place", "written_whole"]


def check_place(
    out: Path, names: Collection[str], overwrite: bool, what: str = "a dataset"
) -> None:
    """Raise InputError unless `out` is free, or is to be overwritten and holds only `names`.

    `what` is what such a directory is.
    """
    if out.suffix in (".jsonl", ".json"):
        remedy = f"name a directory, such as {out.with_suffix('')}"
        raise InputError(Problem(str(out), "is the name of a file", remedy))
    if not out.exists():
        return
    if not overwrite:
        remedy = "name another directory, or allow overwriting with --overwrite"
        raise InputError(Problem(str(out), "exists already", remedy))
    strange = [] if not out.is_dir() else [p.name for p in out.iterdir() if p.name not in names]
    if not out.is_dir() or strange:
        found = f"is not {what}: it holds {strange[0]}" if strange else "is a file"
        raise InputError(Problem(str(out), found, "name another directory"))


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A directory to write into, which takes the place of `out` when nothing was raised."""
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if out.exists():
            shutil.rmtree(out)
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
