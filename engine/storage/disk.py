"""What every file of a run does when the disk is full: one clear error, and nothing torn."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from constitution.problems import Stopped

__all__ = ["StorageFull", "full_disk_explained", "write_page"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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


def write_page(path: Path, page: str) -> None:
    """Write a page whole or not at all. Raises StorageFull where there is no room for it."""
    unfinished = path.with_suffix(".html.part")
    try:
        with full_disk_explained(path):
            unfinished.write_text(page, encoding="utf-8", newline="\n")
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
