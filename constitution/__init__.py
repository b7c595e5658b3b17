"""What the model is held to: schema, loader, selection."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOMES = ("problems", "schema", "checks", "selection", "loader")


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: building the schema takes a fifth of a second,
    which a command that only prints its help need not spend."""
    for home in _HOMES if name in __all__ else ():
        module = import_module(f"constitution.{home}")
        if name in module.__all__:
            globals()[name] = getattr(module, name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
