"""What every file of a run does when the disk is full: one clear error, and nothing torn."""

from pathlib import Path

from constitution.problems import Stopped

__all__ = ["StorageFull"]


class StorageFull(Stopped, OSError):
    """No space (or quota) is left for `path`; what was written before is whole and is kept."""

    exit_code = 2

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        super().__init__(f"{path}: no space left to write; free some space")
