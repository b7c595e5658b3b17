"""What the body of an error says, in whatever shape, and how long its server asks to wait."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from constitution.reading import NotJson, parse_json

__all__ = ["Answered", "Told", "mapping", "seconds_to_wait", "told_by"]

_LONGEST_PAUSE = 600.0
"""Seconds that a server may ask us to wait."""
_SEARCHED = 4000
"""Characters of a message that are looked at."""
_WAIT = re.compile(
    r"(?:try again|retry) (?:in|after) (\d{1,5}(?:\.\d{1,6})?) ?(ms|milliseconds|s\b|sec|m\b|min)",
    re.IGNORECASE,
)


class Answered(NamedTuple):
    """What a server sent back; header names are in lower case."""

    status: int
    text: str
    headers: Mapping[str, str]
    url: str
    """Of the server, without a password."""


class Told(NamedTuple):
    """The message of an error, its codes, and the field that it names, if it names one."""

    message: str
    code: str
    param: str

    def matches(self, pattern: re.Pattern[str]) -> bool:
        """Whether the message or the codes do."""
        return bool(pattern.search(self.message[:_SEARCHED]) or pattern.search(self.code))


def told_by(text: str) -> Told:
    """What an error's body says."""
    try:
        body = parse_json(text)
    except NotJson:
        return Told(" ".join(text[:2000].split()) or "an empty answer", "", "")
    if isinstance(body, list) and body:
        body = body[0]
    inner = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(inner, dict):
        return Told(str(inner)[:2000], "", "")
    outer = body if isinstance(body, dict) else {}
    message, param = inner.get("message") or inner.get("detail") or inner.get("error"), ""
    if isinstance(message, dict):
        message = message.get("detail") or message.get("message") or message
    if isinstance(message, list):
        message, param = _invalid_fields(message)
    codes = (inner.get("code"), inner.get("type"), outer.get("error_type"), _inner_code(inner))
    message = str(message) if message else json.dumps(inner)[:2000]
    raw = mapping(inner.get("metadata")).get("raw")  # of the provider behind a gateway
    message = f"{message}: {str(raw)[:2000]}" if raw else message
    return Told(
        message, " ".join(str(c) for c in codes if c), param or str(inner.get("param") or "")
    )


def _inner_code(error: Mapping[str, Any]) -> Any:
    return mapping(error.get("innererror")).get("code")


def mapping(value: Any) -> Mapping[str, Any]:
    """What should be an object, and an empty one where it is something else."""
    return value if isinstance(value, dict) else {}


def _invalid_fields(details: list[Any]) -> tuple[str, str]:
    """FastAPI's list of what is wrong where: as a message, and the first field named."""
    rows = [detail for detail in details if isinstance(detail, dict)]
    places = [[str(part) for part in _list(row.get("loc")) if part != "body"] for row in rows]
    said = [
        f"{'.'.join(place)}: {row.get('msg', '')}" for place, row in zip(places, rows, strict=True)
    ]
    first = next((place[0] for place in places if place), "")
    return "; ".join(said) or json.dumps(details)[:2000], first


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def seconds_to_wait(answered: Answered, told: Told) -> float | None:
    """By the headers, else by the message; None where neither says."""
    by_headers = _by_headers(answered.headers)
    wait = _WAIT.search(told.message[:_SEARCHED])
    if by_headers is not None or not wait:
        return by_headers
    unit = wait[2].lower()
    factor = 0.001 if unit in ("ms", "milliseconds") else 60.0 if unit in ("m", "min") else 1.0
    return _bounded(float(wait[1]) * factor)


def _by_headers(headers: Mapping[str, str]) -> float | None:
    """Seconds, milliseconds, or until a date."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return _bounded(float(milliseconds) / 1000)
        after = headers.get("retry-after", "").strip()
        if not after:
            return None
        if after.replace(".", "", 1).isdigit():
            return _bounded(float(after))
        return _bounded((parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
