"""What every file of a run does when the disk is full: one clear error, and nothing torn."""

from pathlib import Path

__all__ = ["StorageFull"]


class StorageFull(OSError):
    """No space (or quota) is left for `path`; what was written before is whole and is kept."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        super().__init__(
            f"{path}: no space left to write; everything written so far is kept: "
            "free some space and run the same command again"
        )
