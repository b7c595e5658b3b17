"""What the model is held to: schema, loader, selection."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "constitution.loader": (
        "load_constitution",
        "load_constitution_text",
        "shipped_constitutions",
    ),
    "constitution.problems": ("InputError", "Problem"),
    "constitution.selection": ("draw", "draw_profile"),
}
"""Where names live; all others are of the schema."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: building the schema takes a fifth of a second,
    which a command that only prints its help need not spend."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = [home for home, names in _HOMES.items() if name in names]
    value = getattr(import_module(homes[0] if homes else "constitution.schema"), name)
    globals()[name] = value
    return value
