"""What the environment says: secrets under the names of variables."""

import os

from constitution.problems import InputError, Problem

__all__ = ["from_environment", "in_environment"]


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
