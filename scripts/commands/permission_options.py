"""Options that allow what a file asks for: `constitution.permissions` says what, and why."""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from constitution.typed_yaml import Settings

__all__ = [
    "AllowGeneratedCode",
    "AllowKeys",
    "AllowPush",
    "AllowPythonChecks",
    "AllowRemoteCode",
    "permission_parameters",
]

_PANEL = "Files from others"


def _allow_python_checks(allowed: bool) -> None:
    from constitution.permissions import PYTHON_CHECKS

    _allow(PYTHON_CHECKS, allowed)


def _allow_remote_code(allowed: bool) -> None:
    from constitution.permissions import REMOTE_CODE

    _allow(REMOTE_CODE, allowed)


def _allow_generated_code(allowed: bool) -> None:
    from constitution.permissions import GENERATED_CODE

    _allow(GENERATED_CODE, allowed)


def _allow_push(allowed: bool) -> None:
    from constitution.permissions import PUSH

    _allow(PUSH, allowed)


def _allow_keys(variables: list[str] | None) -> None:
    from constitution.permissions import keys_permission

    for variable in variables or ():
        _allow(keys_permission(variable), True)


def _allow(permission: str, allowed: bool) -> None:
    from constitution.permissions import allow

    if allowed:
        allow(permission)


_KEYS = "--allow-keys"


def _option(name: str, help: str, callback: Any, **rules: Any) -> Any:
    return typer.Option(name, help=help, callback=callback, rich_help_panel=_PANEL, **rules)


AllowPythonChecks = Annotated[
    bool,
    _option(
        "--allow-python-checks",
        "Run the Python functions that the constitution's checks name.",
        _allow_python_checks,
    ),
]
AllowRemoteCode = Annotated[
    bool,
    _option(
        "--allow-remote-code",
        "Run the code of models, engines and tasks that the file asks for.",
        _allow_remote_code,
    ),
]
AllowGeneratedCode = Annotated[
    bool,
    _option(
        "--allow-generated-code",
        "Run the code that models write, for tasks that test it.",
        _allow_generated_code,
    ),
]
AllowKeys = Annotated[
    list[str] | None,
    _option(
        _KEYS,
        "Send the key in this environment variable where the file says so; several times.",
        _allow_keys,
        metavar="NAME",
    ),
]
AllowPush = Annotated[
    bool,
    _option("--allow-push", "Publish the model where the file says so, as you.", _allow_push),
]


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "--allow-remote-code": (AllowRemoteCode, False),
    "--allow-generated-code": (AllowGeneratedCode, False),
    _KEYS: (AllowKeys, None),
    "--allow-push": (AllowPush, False),
}
"""Each permission with the annotation and the default of a parameter."""


def permission_parameters(kind: "type[Settings]") -> Iterator[inspect.Parameter]:
    """Parameters of a function that typer reads: what a file of this configuration may ask for."""
    from constitution.permissions import askable

    asked = askable(kind)
    for option, (annotation, default) in _OPTIONS.items():
        if option in asked:
            name = option.strip("-").replace("-", "_")
            yield inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
