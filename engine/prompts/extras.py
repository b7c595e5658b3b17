"""What is said where a data library is missing, or raises whatever it met in a file."""

from typing import NoReturn

from constitution.problems import InputError, Problem

__all__ = ["brief", "refuse_without_extra"]

_LONGEST = 200


def brief(error: BaseException) -> str:
    """An error's text in one line, or its name where it has none."""
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__


def refuse_without_extra(source: str, package: str, error: ImportError) -> NoReturn:
    """Raise InputError for what `source` needs."""
    what = f"needs {package}, which is missing"
    raise InputError(Problem(source, what, "pip install 'solon[data]'")) from error
