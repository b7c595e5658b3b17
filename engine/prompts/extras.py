"""What is said where a data library is missing."""

from typing import NoReturn

from constitution.problems import InputError, Problem

__all__ = ["refuse_without_extra"]


def refuse_without_extra(source: str, package: str, error: ImportError) -> NoReturn:
    """Raise InputError for what `source` needs."""
    what = f"needs {package}, which is missing"
    raise InputError(Problem(source, what, "pip install 'solon[data]'")) from error
