"""Whose error is it? Every way in which a server says no, sorted in one place.

An error is about this request or about all of them, and for now or for good:

- this request, for good: `GenerationError` (flagged content, too long a prompt, refused);
- this request, for now: `TransientError` (5xx, timeouts, garbage), worth another attempt;
- all requests, for now: `RateLimited`, one pause that everything waits for;
- all requests, for good: `GeneratorUnavailable` (key, credit, model): the run stops, resumable;
- a field that we sent: `FieldRefused`, which the dialect learns from.
"""

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from constitution.reading import NotJson, parse_json
from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable

__all__ = ["Answered", "FieldRefused", "RateLimited", "TransientError", "bad_response", "error_of"]

_LONGEST_PAUSE = 600.0
"""Seconds that a server may ask us to wait."""


class Answered(NamedTuple):
    """What a server sent back; header names are in lower case."""

    status: int
    text: str
    headers: Mapping[str, str]
    url: str
    """Of the server, without a password."""


class TransientError(GenerationError):
    """Worth another attempt, not before `retry_after` seconds."""

    def __init__(self, reason: FailureReason, message: str, retry_after: float = 0.0) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class RateLimited(Exception):
    """The server takes nothing for now; `retry_after` is seconds, None where it does not say."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FieldRefused(GenerationError):
    """The server does not take a field that was sent, or not with this value.

    `renamed` is the name it wants instead, `only` the one value and `most` the largest that it
    takes. `system` is no field but a system turn.
    """

    def __init__(
        self,
        field: str,
        message: str,
        *,
        renamed: str | None = None,
        only: float | None = None,
        most: int | None = None,
    ) -> None:
        super().__init__(FailureReason.REJECTED, message)
        self.field = field
        self.renamed = renamed
        self.only = only
        self.most = most


_OVERFLOW = re.compile(
    r"context.?(?:length|size|window|limit)|max(?:imum)?.model.len|maximum (?:prompt|input) length"
    r"|(?:prompt|input|messages?|request)\b.{0,80}?\b(?:too (?:long|large|many tokens)|longer than)"
    r"|inputs. tokens|when context the overflows|too many (?:input )?tokens"
    r"|(?:input )?token count.{0,40}exceeds|reduce the length of the"
    r"|exceeds? the (?:maximum|max|available) (?:number of (?:input )?)?(?:tokens|context|sequence)",
    re.IGNORECASE | re.DOTALL,
)
_OVERFLOW_CODES = ("context_length_exceeded", "string_above_max_length", "exceed_context_size")
_FILTERED = re.compile(
    r"content.?(?:filter|management|policy)|moderation|flagged|responsible ?ai|safety (?:system|filter)"
    r"|blocked by|usage polic",
    re.IGNORECASE,
)
_OUT_OF_CREDIT = re.compile(
    r"insufficient.?(?:quota|balance|credit|funds)|exceeded your current quota|billing|payment"
    r"|out of credit|credit balance|monthly (?:limit|quota)",
    re.IGNORECASE,
)
_UNKNOWN_MODEL = re.compile(
    r"\bmodels?\b.{0,120}?(?:not (?:found|exist|available|supported)|does not exist|unknown|invalid)"
    r"|(?:no such|unknown|invalid|unsupported) model|model_not_found|not a valid model",
    re.IGNORECASE | re.DOTALL,
)
_SYSTEM = re.compile(
    r"system.{0,30}?(?:not (?:supported|allowed|permitted)|unsupported|invalid)"
    r"|(?:not support|unsupported|invalid|unknown|unexpected).{0,40}?\bsystem\b"
    r"|(?:developer instruction|system_instruction).{0,30}?not (?:enabled|supported)"
    r"|roles must alternate",
    re.IGNORECASE | re.DOTALL,
)
_REFUSES = re.compile(
    r"unsupported|not (?:\w+ )?(?:support|permit|allow|accept|valid|recogni|implement|enabled)"
    r"|n't support|unrecogni[sz]ed|unknown|unexpected|extra|invalid|cannot|can't|must be|only|no longer"
    r"|deprecated|out of range|too large|less than|greater than|at most|exceeds|maximum|between",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"\buse\s+[`'\"]?(\w{1,40})[`'\"]?\s+instead", re.IGNORECASE)
_MOST = re.compile(
    r"(?:less than or equal to|at most|no more than|up to|<=|maximum(?: value)?(?: (?:is|of))?"
    r"|between \d{1,6} and|range \[?\(?\d{1,6},)\s*(\d{1,10})",
    re.IGNORECASE,
)
_ONLY = re.compile(
    r"\bonly\b.{0,40}?\b(?:default|value|supported|allowed)\b.{0,20}?(\d{1,4}(?:\.\d{1,4})?)",
    re.IGNORECASE | re.DOTALL,
)
_DROPPED_FIRST = (
    "top_p", "top_logprobs", "logprobs", "seed", "min_tokens", "n", "chat_template_kwargs",
    "reasoning_effort", "max_tokens", "temperature",
)  # fmt: skip
"""Of several fields that an error names, the one that we can best do without."""
_NAME = re.compile(r"\w+")
_CANNOT_GO = ("model", "messages", "prompt")


def error_of(answered: Answered, sent: Collection[str], model: str) -> Exception:
    """What an error status means for the request, for all of them, or for the fields `sent`."""
    told = _told(answered.text)
    status, message = answered.status, f"{answered.url}: {told.message}"
    about_all = _about_all(answered, told, model)
    if about_all is not None:
        return about_all
    if status in (400, 403, 451) and (told.matches(_FILTERED) or status == 451):
        return GenerationError(FailureReason.CONTENT_FILTER, message)
    if status == 403:
        return _stop(answered, model, told, "refuses the API key, or this model with it")
    if told.overflows or status == 413:
        return GenerationError(FailureReason.CONTEXT_OVERFLOW, message)
    if status >= 500 or status in (408, 409, 425):
        after = _seconds_to_wait(answered.headers) or 0.0
        return TransientError(FailureReason.SERVER_ERROR, message, after)
    refused = _refused_field(told, sent, message)
    if refused is not None:
        return refused
    if told.matches(_UNKNOWN_MODEL):
        return _stop(answered, model, told, "does not know this model")
    return GenerationError(FailureReason.REJECTED, message)


def bad_response(what: str, text: str) -> TransientError:
    """An answer that cannot be read, and may be better the next time."""
    shown = " ".join(text[:200].split())
    return TransientError(FailureReason.BAD_RESPONSE, f"bad response: {what} in {shown!r}")


def _about_all(answered: Answered, told: "_Told", model: str) -> Exception | None:
    status = answered.status
    if status == 401:
        return _stop(answered, model, told, "refuses the API key")
    if status == 402 or (status in (400, 403, 429) and told.matches(_OUT_OF_CREDIT)):
        return _stop(answered, model, told, "gives no more credit")
    if status == 404:
        return _stop(
            answered, model, told, f"does not know this model or path; see {answered.url}/models"
        )
    if status in (429, 529):
        return RateLimited(f"{answered.url}: {told.message}", _seconds_to_wait(answered.headers))
    return None


def _stop(answered: Answered, model: str, told: "_Told", what: str) -> GeneratorUnavailable:
    return GeneratorUnavailable(f"{answered.url} (model {model}) {what}: {told.message}")


class _Told(NamedTuple):
    """What an error's body says, in whatever shape."""

    message: str
    code: str
    param: str
    """The field that it names, if it names one."""

    def matches(self, pattern: re.Pattern[str]) -> bool:
        return bool(pattern.search(self.message[:4000]) or pattern.search(self.code))

    @property
    def overflows(self) -> bool:
        known = any(code in self.code for code in _OVERFLOW_CODES)
        return known or bool(_OVERFLOW.search(self.message[:4000]))


def _told(text: str) -> _Told:
    try:
        body = parse_json(text)
    except NotJson:
        return _Told(" ".join(text[:2000].split()) or "an empty answer", "", "")
    if isinstance(body, list) and body:
        body = body[0]
    inner = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(inner, dict):
        return _Told(str(inner)[:2000], "", "")
    outer = body if isinstance(body, dict) else {}
    message, param = inner.get("message") or inner.get("detail") or inner.get("error"), ""
    if isinstance(message, dict):
        message = message.get("detail") or message.get("message") or message
    if isinstance(message, list):
        message, param = _invalid_fields(message)
    codes = (inner.get("code"), inner.get("type"), outer.get("error_type"), _inner_code(inner))
    message = str(message) if message else json.dumps(inner)[:2000]
    return _Told(
        message, " ".join(str(c) for c in codes if c), param or str(inner.get("param") or "")
    )


def _inner_code(error: Mapping[str, Any]) -> Any:
    inner = error.get("innererror")
    return inner.get("code") if isinstance(inner, Mapping) else None


def _invalid_fields(details: list[Any]) -> tuple[str, str]:
    """FastAPI's list of what is wrong where: as a message, and the first field named."""
    rows = [detail for detail in details if isinstance(detail, dict)]
    places = [[str(part) for part in row.get("loc", ()) if part != "body"] for row in rows]
    said = [
        f"{'.'.join(place)}: {row.get('msg', '')}" for place, row in zip(places, rows, strict=True)
    ]
    first = next((place[0] for place in places if place), "")
    return "; ".join(said) or json.dumps(details)[:2000], first


def _refused_field(told: _Told, sent: Collection[str], message: str) -> FieldRefused | None:
    """The field sent that an error is about, if it is about one."""
    said = told.message[:4000]
    if _SYSTEM.search(said):
        return FieldRefused("system", message)
    if not (_REFUSES.search(said) or told.param):
        return None
    words = set(_NAME.findall(said))
    named = [field for field in sent if field in words and field not in _CANNOT_GO]
    if told.param.split(".")[0] in sent and told.param.split(".")[0] not in _CANNOT_GO:
        named = [told.param.split(".")[0]]
    if not named:
        return None
    order = {field: at for at, field in enumerate(_DROPPED_FIRST)}
    field = min(named, key=lambda f: order.get(f, -1))
    instead, only, most = (pattern.search(said) for pattern in (_INSTEAD, _ONLY, _MOST))
    return FieldRefused(
        field,
        message,
        renamed=instead[1] if instead and instead[1] != field else None,
        only=float(only[1]) if only else None,
        most=int(most[1]) if most else None,
    )


def _seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """By the headers: seconds, milliseconds, or until a date; None where they do not say."""
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
