"""Files and directories written whole or not at all, never over something else, and one clear error
where the disk is full."""

import errno
import fcntl
import json
import math
import os
import shutil
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from constitution.problems import InputError, Problem, Stopped

__all__ = [
    "DirectoryLock",
    "InUse",
    "StorageFull",
    "check_file",
    "check_free",
    "check_place",
    "full_disk_explained",
    "remove",
    "replacing",
    "write_json_atomic",
    "write_page",
    "written_whole",
]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InUse(InputError):
    """Another process works on the same directory, for now."""


class StorageFull(Stopped, OSError):
    """No space (or quota) is left for `path`; what was written before is whole and is kept."""

    exit_code = 2

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        super().__init__(f"{path}: no space left to write; free some space")


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Raises StorageFull where the block fails for want of space; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(path) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when nothing was raised: a reader, or a crash, sees the
    old one or the new one. Raises StorageFull, and then the old file is as it was."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with full_disk_explained(path), draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(path.parent)


def write_json_atomic(path: Path, value: Any) -> None:
    """Write a JSON file whole or not at all; what is not finite is the text `Infinity` or `NaN`, which
    JSON has no number for. Raises StorageFull as `replacing` does."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _finite(value: Any) -> Any:
    """`value` with the names of the numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def write_page(path: Path, page: str) -> None:
    """Write a page whole or not at all. Raises StorageFull as `replacing` does."""
    with replacing(path) as file:
        file.write(page.encode("utf-8"))


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A directory to write into, which takes the place of `out` when nothing was raised.

    What a killed process left of it is deleted first. Raises InputError while another process
    writes the same directory.
    """
    unfinished = out.with_name(f".{out.name}.part")
    unfinished.mkdir(parents=True, exist_ok=True)
    held = os.open(unfinished, os.O_RDONLY)
    try:
        _lock(held, unfinished, out)
        for left in unfinished.iterdir():
            remove(left)
        try:
            yield unfinished
            remove(out)
            unfinished.replace(out)
        except BaseException:
            remove(unfinished)
            raise
    finally:
        os.close(held)


def check_place(
    path: Path, a_noun: str, may_be_there: Callable[[str], bool], missing: str = ""
) -> None:
    """Raise InputError where `path` is a file, or holds something that may not be there: it is not
    ours. `a_noun` is what it should be, `missing` what it lacks."""
    remedy = "name another directory with --out"
    if path.exists() and not path.is_dir():
        raise InputError(Problem(str(path), "is a file", remedy))
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    strange = [name for name in names if not may_be_there(name)]
    if strange:
        raise InputError(
            Problem(str(path), f"is not {a_noun}: it holds {strange[0]}{missing}", remedy)
        )


def check_free(
    out: Path, names: Collection[str], overwrite: bool, a_noun: str = "a dataset"
) -> None:
    """Raise InputError unless `out` is free, or is to be overwritten and holds only `names`."""
    if out.suffix in (".jsonl", ".json"):
        remedy = f"name a directory, such as {out.with_suffix('')}"
        raise InputError(Problem(str(out), "is the name of a file", remedy))
    if out.exists() and not overwrite:
        remedy = "name another directory, or allow overwriting with --overwrite"
        raise InputError(Problem(str(out), "exists already", remedy))
    check_place(out, a_noun, names.__contains__)


def check_file(path: Path, overwrite: bool | None, *read: Path | None) -> None:
    """Raise InputError unless a file can be written to `path`: it is no directory, none of the files
    that are `read`, and free or to be overwritten. None where the command cannot overwrite."""
    if path.is_dir():
        raise InputError(Problem(str(path), "is a folder", "name a file"))
    if any(source is not None and path.resolve() == source.resolve() for source in read):
        raise InputError(Problem(str(path), "is what is read", "name another file to write"))
    if path.exists() and not overwrite:
        remedy = (
            "name another file" if overwrite is None else "name another file, or add --overwrite"
        )
        raise InputError(Problem(str(path), "exists already", remedy))


def remove(path: Path) -> None:
    """Delete a file, a link or a whole directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _lock(held: int, unfinished: Path, out: Path) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = unfinished.exists() and os.path.samestat(os.fstat(held), unfinished.stat())
    except BlockingIOError:
        mine = False
    if not mine:
        raise InputError(Problem(str(out), "another process is writing to it", "wait for it"))


def _sync_directory(directory: Path) -> None:
    """A rename is durable once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DirectoryLock:
    """Held while one process writes to a run directory (`with DirectoryLock(run): ...`).

    The system drops it when the process ends, however it ends. The file `lock` stays and says who
    holds it. Entering raises InUse when another process does, StorageFull when the disk is full.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file: IO[str] | None = None

    def __enter__(self) -> "DirectoryLock":
        file = (self.directory / "lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            what = f"another process ({holder}) is writing to {self.directory}"
            remedy = "wait for it or stop it"
            raise InUse(Problem(str(self.directory), what, remedy)) from error
        self._file = file
        try:
            with full_disk_explained(self.directory):
                file.truncate(0)
                file.write(f"pid {os.getpid()} on {socket.gethostname()}\n")
                file.flush()
        except OSError:
            self._let_go()
            raise
        os.register_at_fork(after_in_child=self._let_go)
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.truncate(0)
        self._let_go()

    def _let_go(self) -> None:
        """Also in a forked child: an orphaned worker must not hold a killed run's lock."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()
