"""Names of a package that are imported when they are first asked for (PEP 562)."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

__all__ = ["first_asked"]


def first_asked(package: Any, homes: Sequence[str]) -> Callable[[str], Any]:
    """A `__getattr__` for `package`: its `__all__` comes from the modules `homes`, looked through in
    that order until one has the name in its own `__all__`.

    A command that only prints its help, or reads a file, then does not wait for all the rest.
    """

    def getattribute(name: str) -> Any:
        for home in homes if name in package.__all__ else ():
            module = import_module(f"{package.__name__}.{home}")
            if name in module.__all__:
                found = getattr(module, name)
                setattr(package, name, found)
                return found
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")

    return getattribute
