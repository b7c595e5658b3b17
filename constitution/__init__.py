"""What the model is held to: schema, loader, selection."""

from constitution.loader import load_constitution, shipped_constitutions
from constitution.problems import InputError, Problem
from constitution.schema import Constitution, Principle
from constitution.selection import draw

__all__ = [
    "Constitution",
    "InputError",
    "Principle",
    "Problem",
    "draw",
    "load_constitution",
    "shipped_constitutions",
]
