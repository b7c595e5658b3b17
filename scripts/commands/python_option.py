"""`--allow-python-checks`: the permission to run code that a constitution names."""

from typing import Annotated

import typer

__all__ = ["AllowPythonChecks"]


def _allow(allowed: bool) -> None:
    from constitution.python_checks import allow_python_checks

    if allowed:
        allow_python_checks()


AllowPythonChecks = Annotated[
    bool,
    typer.Option(
        "--allow-python-checks",
        help="Run the Python functions that the constitution's checks name.",
        callback=_allow,
    ),
]
