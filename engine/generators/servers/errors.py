"""Whose error is it? Every way in which a server says no, sorted in one place.

An error is about this request or about all of them, and for now or for good:

- this request, for good: `GenerationError` (flagged content, too long a prompt, refused);
- this request, for now: `TransientError` (5xx, timeouts, garbage), worth another attempt;
- all requests, for now: `RateLimited`, one pause that everything waits for;
- all requests, for good: `GeneratorUnavailable` (key, credit, model): the run stops, resumable;
- a field that we sent: `FieldRefused`, which the dialect learns from.
"""

import re
from collections.abc import Collection

from constitution.reading import NotJson, parse_json
from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.servers.error_body import Answered, Told, seconds_to_wait, told_by

__all__ = [
    "CUT_OFF",
    "Answered",
    "FieldRefused",
    "RateLimited",
    "TransientError",
    "bad_response",
    "error_of",
    "met_its_limit",
    "status_of",
]

CUT_OFF = '{"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}'
"""What a server should have said where `met_its_limit`."""


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
    r"|(?:prompt|input|messages?)\b.{0,80}?\b(?:too (?:long|large|many tokens)|longer than)"
    r"|request too large|payload too large"
    r"|inputs. tokens|when context the overflows|too many (?:input )?tokens"
    r"|(?:input )?token count.{0,40}exceeds|reduce the length of the"
    r"|exceeds? the (?:maximum|max|available) (?:number of (?:input )?)?(?:tokens|context|sequence)",
    re.IGNORECASE | re.DOTALL,
)
_OVERFLOW_CODES = ("context_length_exceeded", "string_above_max_length", "exceed_context_size")
_SURELY_OVERFLOW = re.compile(
    r"context.?(?:length|size|window)|(?:input|prompt) is too long", re.IGNORECASE
)
"""Of a server error, which mostly means something else."""
_FILTERED = re.compile(
    r"content.?(?:filter|management|policy)|moderation|flagged|responsible ?ai"
    r"|safety.?(?:system|filter|check)|blocked by|usage (?:polic|guideline)|content.{0,20}violat",
    re.IGNORECASE,
)
_OF_THE_ACCOUNT = re.compile(
    r"(?:account|organi[sz]ation|project).{0,40}(?:suspend|disabled|deactivat|banned)",
    re.IGNORECASE,
)
_FOR_NOW = re.compile(
    r"try again|retry in|retry after|per (?:second|minute|hour|day)|rate.?limit", re.IGNORECASE
)
_LOADING = re.compile(
    r"model.{0,30}?(?:unloaded|has crashed|is loading|not loaded|is starting)|request failed during",
    re.IGNORECASE | re.DOTALL,
)
_MET_ITS_LIMIT = re.compile(r"max_tokens or model output limit was reached", re.IGNORECASE)
_LOGPROBS = re.compile(r"log.?prob", re.IGNORECASE)
_SEVERAL = re.compile(
    r"multiple (?:candidates|choices|completions)|candidate.?count", re.IGNORECASE
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
    r"|n't support|unrecogni[sz]ed|unknown|unexpected (?!error)|extra|invalid|cannot|can't|(?:must|should) be|only|no longer"
    r"|deprecated|out of range|too large|less than|greater than|at most|exceeds|maximum|between",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"\buse\s+[`'\"]?(\w{1,40})[`'\"]?\s+instead", re.IGNORECASE)
_NUMBER = r"(\d{1,3}(?:,\d{3}){1,3}|\d{1,10})"
_MOST = re.compile(
    r"(?:less than or equal to|at most|no more than|up to|<=|max(?:imum)?(?: value| allowed)?(?: (?:is|of))?:?"
    rf"|between \d{{1,6}} and|(?:range|be)[^\d]{{0,30}}\[\(?\d{{1,6}}\s{{0,3}},|>)\s{{0,3}}{_NUMBER}",
    re.IGNORECASE,
)
_WITHIN = 400
"""Characters of a message within which it names the field that it is about."""
_ONLY = re.compile(
    r"\bonly\b.{0,40}?\b(?:default|value|supported|allowed)\b.{0,20}?(\d{1,4}(?:\.\d{1,4})?)",
    re.IGNORECASE | re.DOTALL,
)
_DROPPED_FIRST = (
    "top_p", "top_logprobs", "logprobs", "seed", "min_tokens", "n", "chat_template_kwargs",
    "reasoning_effort", "max_tokens", "temperature",
)  # fmt: skip
"""Of several fields that an error names, the one that we can best do without."""
_NAME = re.compile(
    r"(?:\A|[`'\"(:.]\s?|\b(?:parameter|argument|field|property|value for|support|take)s?\s)([a-z]\w{0,60})"
    r"|\b([a-z][a-z\d]{0,30}_\w{1,60})",
    re.IGNORECASE,
)
"""A field, where a word stands as a name: a message may repeat a prompt about the temperature."""
_CANNOT_GO = ("model", "messages", "prompt")


def error_of(answered: Answered, sent: Collection[str], model: str) -> Exception:
    """What an error status means for the request, for all of them, or for the fields `sent`."""
    told = told_by(answered.text)
    status, message = answered.status, f"{answered.url}: {told.message}"
    if status in (408, 409, 424, 425, 498) or status >= 500 or told.matches(_LOADING):
        if status < 502 and _overflows(told, _SURELY_OVERFLOW):
            return GenerationError(FailureReason.CONTEXT_OVERFLOW, message)
        after = seconds_to_wait(answered, told) or 0.0
        return TransientError(FailureReason.SERVER_ERROR, message, after)
    if status == 451 or (status in (400, 403) and _flags_content(told)):
        return GenerationError(FailureReason.CONTENT_FILTER, message)
    about_all = _about_all(answered, told, model)
    if about_all is not None:
        return about_all
    refused = _refused_verdict(told, sent, message)
    if refused is None and status == 403:
        return _stop(answered, model, told, "refuses the API key, or this model with it")
    if refused is None and (_overflows(told, _OVERFLOW) or status == 413):
        return GenerationError(FailureReason.CONTEXT_OVERFLOW, message)
    refused = refused or _refused_field(told, sent, message)
    if refused is not None:
        return refused
    if told.matches(_UNKNOWN_MODEL):
        return _stop(answered, model, told, "does not know this model")
    return GenerationError(FailureReason.REJECTED, message)


def status_of(answered: Answered) -> int:
    """The status of an answer; of an error that came as a good one, that of the error."""
    if answered.status != 200 or '"error"' not in answered.text[:_WITHIN]:
        return answered.status
    try:
        body = parse_json(answered.text)
    except NotJson:
        return 200
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int) or not 400 <= code < 600 or body.get("choices"):
        return 200
    return code


def met_its_limit(answered: Answered) -> bool:
    """Whether an error says that the answer was cut off before it began, as a model's whose thought
    took all the tokens that it had."""
    return answered.status == 400 and bool(_MET_ITS_LIMIT.search(answered.text[:2000]))


def bad_response(what: str, text: str) -> TransientError:
    """An answer that cannot be read, and may be better the next time."""
    shown = " ".join(text[:200].split())
    return TransientError(FailureReason.BAD_RESPONSE, f"bad response: {what} in {shown!r}")


def _about_all(answered: Answered, told: Told, model: str) -> Exception | None:
    status = answered.status
    if status == 401:
        return _stop(answered, model, told, "refuses the API key")
    no_credit = told.matches(_OUT_OF_CREDIT) and status in (400, 403, 429)
    passes = status == 429 and (told.matches(_FOR_NOW) or "retry-after" in answered.headers)
    if status == 402 or (no_credit and not passes) or "insufficient_quota" in told.code:
        return _stop(answered, model, told, "gives no more credit")
    if status == 403 and told.matches(_OF_THE_ACCOUNT):
        return _stop(answered, model, told, "has closed the account")
    if status == 404:
        return _stop(
            answered, model, told, f"does not know this model or path; see {answered.url}/models"
        )
    if status == 429 and "too large" in told.message:
        message = f"{answered.url}: {told.message}"
        return GenerationError(FailureReason.CONTEXT_OVERFLOW, message)
    if status in (429, 529):
        return RateLimited(f"{answered.url}: {told.message}", seconds_to_wait(answered, told))
    return None


def _stop(answered: Answered, model: str, told: Told, what: str) -> GeneratorUnavailable:
    return GeneratorUnavailable(f"{answered.url} (model {model}) {what}: {told.message}")


def _overflows(told: Told, pattern: re.Pattern[str]) -> bool:
    return any(code in told.code for code in _OVERFLOW_CODES) or told.matches(pattern)


def _flags_content(told: Told) -> bool:
    return told.matches(_FILTERED) and not told.matches(_OF_THE_ACCOUNT)


def _refused_verdict(told: Told, sent: Collection[str], message: str) -> FieldRefused | None:
    """The field of a verdict that an error is about: servers speak of log-probabilities and
    candidates in many words."""
    said = told.message[:_WITHIN]
    most = _most_in(said)
    if "logprobs" in sent and _LOGPROBS.search(said):
        return FieldRefused("top_logprobs" if most else "logprobs", message, most=most)
    if "n" in sent and _SEVERAL.search(said):
        return FieldRefused("n", message)
    return None


def _most_in(said: str) -> int | None:
    most = _MOST.search(said)
    return int(next(filter(None, most.groups())).replace(",", "")) if most else None


def _refused_field(told: Told, sent: Collection[str], message: str) -> FieldRefused | None:
    """The field sent that an error is about, if it is about one."""
    said = told.message[:_WITHIN]
    if _SYSTEM.search(said):
        return FieldRefused("system", message)
    if not (_REFUSES.search(said) or told.param):
        return None
    words = {name for pair in _NAME.findall(said) for name in pair}
    named = [field for field in sent if field in words and field not in _CANNOT_GO]
    if told.param.split(".")[0] in sent and told.param.split(".")[0] not in _CANNOT_GO:
        named = [told.param.split(".")[0]]
    if not named:
        return None
    order = {field: at for at, field in enumerate(_DROPPED_FIRST)}
    field = min(named, key=lambda f: order.get(f, -1))
    instead, only = _INSTEAD.search(said), _ONLY.search(said)
    return FieldRefused(
        field,
        message,
        renamed=instead[1] if instead and instead[1] not in sent else None,
        only=float(only[1]) if only else None,
        most=_most_in(said),
    )
