"""What the environment says: secrets under the names of variables, and where caches are."""

import os
from pathlib import Path

from constitution.problems import InputError, Problem

__all__ = ["cache_home", "from_environment", "hub_home", "in_environment"]


def in_environment(name: str) -> str:
    """The value of a variable without white space around it, empty where it is not set."""
    return os.environ.get(name, "").strip()


def from_environment(name: str, remedy: str) -> str:
    """The value of a variable that something given names. Raises InputError, with the remedy, where
    it is not set or empty."""
    found = in_environment(name)
    if not found:
        raise InputError(Problem(f"${name}", "is not set", remedy))
    return found


def cache_home() -> Path:
    """The user's folder for what can be made again: `$XDG_CACHE_HOME`, or else `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def hub_home() -> Path:
    """Where the hub's own client keeps its cache and its login: `$HF_HOME`, or else `huggingface` in
    the user's cache folder."""
    return Path(os.environ.get("HF_HOME") or cache_home() / "huggingface").expanduser()
