"""Values of data libraries as JSON holds them, since records are JSON: replaced, and counted.

Dates, times, decimals and bytes that are UTF-8 become text. What no text stands for becomes null:
NaN and infinities, "not a time", bytes that are not UTF-8. NumPy's values become Python's own.
"""

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

__all__ = ["DEEPEST", "NO_VALUES", "PlainValues", "Replaced", "TooDeep"]

DEEPEST = 150
"""Lists and objects within one another that a column may hold; JSON readers give up at some 190."""


class Replaced(NamedTuple):
    """How many values became null, and how many text."""

    nulls: int = 0
    texts: int = 0


NO_VALUES = Replaced()


class TooDeep(ValueError):
    """A column is nested deeper than a record can hold."""

    remedy = "drop that column or save it as text"

    def __init__(self) -> None:
        super().__init__(f"a column is nested more than {DEEPEST} deep")


class PlainValues:
    """Makes rows plain, and counts what it replaced."""

    def __init__(self) -> None:
        self._nulls = self._texts = 0

    @property
    def replaced(self) -> Replaced:
        """What was replaced so far."""
        return Replaced(self._nulls, self._texts)

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The same row, of plain values. What is not known here is left as it is. Raises TooDeep."""
        return {name: self._plain(value, 1) for name, value in row.items()}

    def _plain(self, value: Any, depth: int) -> Any:
        match value:
            case None | bool() | int() | str():
                return value
            case float():
                return float(value) if math.isfinite(value) else self._null()
            case Mapping() | list() | tuple():
                return self._inner(value, depth)
            case bytes() | bytearray() | memoryview():
                return self._bytes(bytes(value))
            case datetime() | date() | time() | timedelta():
                return self._time(value)
            case Decimal():
                return self._text(str(value)) if value.is_finite() else self._null()
            case UUID():
                return self._text(str(value))
        if type(value).__name__ == "NAType":  # of pandas
            return self._null()
        return self._of_numpy(value, depth) if hasattr(value, "dtype") else value

    def _inner(self, value: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise TooDeep
        if isinstance(value, Mapping):
            return {
                key if isinstance(key, str) else str(self._plain(key, depth + 1)): self._plain(
                    one, depth + 1
                )
                for key, one in value.items()
            }
        return [self._plain(one, depth + 1) for one in value]

    def _of_numpy(self, value: Any, depth: int) -> Any:
        """A scalar or an array; times by their text, since an integer of nanoseconds is no time."""
        if getattr(value, "shape", None) != ():
            return self._inner(list(value), depth)
        if getattr(value.dtype, "kind", "") in "mM":
            return self._text(str(value)) if value == value else self._null()
        return self._plain(value.item(), depth)

    def _time(self, value: date | time | timedelta) -> Any:
        if value != value:  # pandas' NaT is a datetime
            return self._null()
        return self._text(str(value) if isinstance(value, timedelta) else value.isoformat())

    def _bytes(self, value: bytes) -> Any:
        try:
            return self._text(value.decode())
        except UnicodeDecodeError:
            return self._null()

    def _text(self, text: str) -> str:
        self._texts += 1
        return text

    def _null(self) -> Any:
        self._nulls += 1
        return None
