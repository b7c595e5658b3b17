"""Prints the lines of a lock whose packages are not installed: `python requirements/missing.py LOCK`."""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

__all__ = ["missing"]

_BETWEEN = re.compile(r"[-_.]+")


def missing(lock: str, installed: set[str]) -> list[str]:
    """Lines of a lock without those of packages in `installed`, whichever version of them is there."""
    have = {_plain(name) for name in installed}
    return [line for line in lock.splitlines() if _plain(line.partition("==")[0]) not in have]


def _plain(name: str) -> str:
    return _BETWEEN.sub("-", name.strip()).lower()


if __name__ == "__main__":
    lock = Path(sys.argv[1]).read_text(encoding="utf-8")
    print(*missing(lock, {found.name for found in distributions() if found.name}), sep="\n")
