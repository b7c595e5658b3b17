"""What the model is held to: schema, loader, selection."""

import sys
from typing import TYPE_CHECKING

from constitution.lazy import first_asked

if TYPE_CHECKING:
    from constitution.checks import Check, failures
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
    "Check",
    "Constitution",
    "FewShotExample",
    "Principle",
    "PrincipleTest",
    "Severity",
    "Stakeholder",
    # deciding without a model
    "failures",
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

__getattr__ = first_asked(
    sys.modules[__name__], ("problems", "schema", "checks", "selection", "loader")
)
