"""What a file may ask for, and gets only if the command line allows it: to run code, to send a key,
to publish.

A recipe, a `--config` file and a constitution may come from anywhere. What is typed on the command
line is its own permission; what a file says needs an option that allows it. A permission is written
as that option (`--allow-keys NAME`), and holds in this process and in those it starts.

A setting that may ask for such a thing is marked with `Asks` in its class.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from constitution.problems import Problem
from constitution.yaml_source import Location

__all__ = [
    "GENERATED_CODE",
    "KEYS",
    "PUSH",
    "PYTHON_CHECKS",
    "REMOTE_CODE",
    "Asks",
    "Need",
    "allow",
    "askable",
    "is_allowed",
    "keys_permission",
    "marked",
    "needs_of",
    "refused",
    "switched",
]

PYTHON_CHECKS = "--allow-python-checks"
REMOTE_CODE = "--allow-remote-code"
GENERATED_CODE = "--allow-generated-code"
PUSH = "--allow-push"
KEYS = "--allow-keys"
"""Of one variable: `keys_permission`."""
_VARIABLE = "SOLON_ALLOWED"


def keys_permission(variable: str) -> str:
    """The permission to send what an environment variable holds."""
    return f"{KEYS} {variable if variable.isidentifier() else repr(variable)}"


def allow(permission: str) -> None:
    """Allow it in this process and in those it starts."""
    given = os.environ.get(_VARIABLE, "").splitlines()
    os.environ[_VARIABLE] = "\n".join(dict.fromkeys([*given, permission]))


def is_allowed(permission: str) -> bool:
    """Whether `allow` was called with it here, or in the process that started this one."""
    return permission in os.environ.get(_VARIABLE, "").splitlines()


@dataclass(frozen=True, slots=True)
class Need:
    """What a setting asks for: a permission, what it would be used for (`would ...`), and the key."""

    permission: str
    what: str
    at: Location = ()


@dataclass(frozen=True, slots=True)
class Asks:
    """Marks a setting that may ask for some of `permissions`: `read` says what its value needs, at
    locations seen from the setting."""

    permissions: tuple[str, ...]
    read: Callable[[Any], Iterable[Need]]


def switched(permission: str, what: str) -> Asks:
    """Marks a setting that asks for a permission whenever it is on."""
    return Asks((permission,), lambda value: [Need(permission, what)] if value else [])


def askable(kind: type[BaseModel]) -> frozenset[str]:
    """The permissions that settings of this class, or of its sections, may ask for."""
    found: set[str] = set()
    for field in kind.model_fields.values():
        for mark in field.metadata:
            found |= {*mark.permissions} if isinstance(mark, Asks) else set()
        options = (field.annotation, *get_args(field.annotation))
        for inner in (one for option in options for one in (option, *get_args(option))):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= askable(inner)
    return frozenset(found)


def marked(settings: BaseModel, at: Location = ()) -> Iterator[tuple[Location, Asks, Any]]:
    """Each mark in `settings` and its sections: where the setting is, the mark, and its value."""
    for name, field in type(settings).model_fields.items():
        value, location = getattr(settings, name), (*at, name)
        if isinstance(value, BaseModel):
            yield from marked(value, location)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                yield from marked(item, (*location, index))
        elif value is not None:
            for mark in field.metadata:
                if isinstance(mark, Asks):
                    yield location, mark, value


def needs_of(settings: BaseModel, at: Location = ()) -> list[Need]:
    """What `settings`, which stand at `at`, ask for; allowed or not."""
    return [
        Need(need.permission, need.what, (*location, *need.at))
        for location, mark, value in marked(settings, at)
        for need in mark.read(value)
    ]


def refused(needs: Iterable[Need], where: Callable[[Location], str]) -> list[Problem]:
    """A problem for each need that is not allowed; `where` says where in a file a setting stands."""
    return [
        Problem(
            where(need.at),
            f"{'.'.join(map(str, need.at))} {need.what}",
            f"if you trust this file, add {need.permission}",
        )
        for need in needs
        if not is_allowed(need.permission)
    ]
