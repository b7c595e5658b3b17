"""Checks that are a user's own Python function, which run only where they were allowed to.

A constitution is data that may come from anywhere; reading one imports nothing. The command line
gives the permission for `--allow-python-checks`, as `constitution.permissions` says.
"""

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, cast

from constitution.permissions import PYTHON_CHECKS, allow, is_allowed

__all__ = [
    "PythonCheckError",
    "allow_python_checks",
    "imported",
    "python_checks_allowed",
    "python_failure",
]


class PythonCheckError(Exception):
    """A function that may not be called, cannot be imported, or raised an exception."""


def allow_python_checks() -> None:
    """Let this process, and those it starts, import and call the functions that constitutions name;
    modules are looked for in the current folder too."""
    allow(PYTHON_CHECKS)


def python_checks_allowed() -> bool:
    """Whether `allow_python_checks` was called here, or in the process that started this one."""
    return is_allowed(PYTHON_CHECKS)


@cache
def imported(name: str) -> Callable[[str], Any]:
    """The function `module:function`. Raises PythonCheckError, also where it is not allowed."""
    if not python_checks_allowed():
        raise PythonCheckError(f"{name} is Python code, which may not run")
    if "" not in sys.path:
        sys.path.insert(0, "")
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except Exception as error:  # importing runs the user's own code
        raise PythonCheckError(f"{name}: {type(error).__name__}: {error}") from error
    if callable(function):
        return cast(Callable[[str], Any], function)
    raise PythonCheckError(f"{name} is not a function")


def python_failure(name: str, reply: str) -> str | None:
    """What the function says is wrong with `reply`; None where it holds.

    True holds and False fails without a reason of its own. Raises PythonCheckError as `imported`
    does, and where the function raises an exception or returns anything else.
    """
    function = imported(name)
    try:
        said = function(reply)
    except Exception as error:  # the user's own code
        raise PythonCheckError(f"{name}: {type(error).__name__}: {error}") from error
    match said:
        case None | True:
            return None
        case False:
            return f"It does not pass {name}."
        case str() if said.strip():
            return said.strip()
    raise PythonCheckError(f"{name} returned {said!r:.80}, which is neither None nor a sentence")
