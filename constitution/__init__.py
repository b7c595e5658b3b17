"""What the model is held to: schema, loader, selection."""

from constitution.loader import load_constitution, load_constitution_text, shipped_constitutions
from constitution.problems import InputError, Problem
from constitution.schema import (
    AppliesTo,
    Constitution,
    FewShotExample,
    Principle,
    PrincipleTest,
    Severity,
    Stakeholder,
)
from constitution.selection import draw, draw_profile

__all__ = [  # noqa: RUF022  # grouped by what they are for
    # data
    "AppliesTo",
    "Constitution",
    "FewShotExample",
    "Principle",
    "PrincipleTest",
    "Severity",
    "Stakeholder",
    # reading
    "InputError",
    "Problem",
    "load_constitution",
    "load_constitution_text",
    "shipped_constitutions",
    # selection
    "draw",
    "draw_profile",
]
