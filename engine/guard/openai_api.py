"""OpenAI's chat completions, as far as what they ask for can be screened: requests read, answers and
errors written."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from constitution.problems import InputError
from engine.generators.base import (
    FailureReason,
    GenerationError,
    GeneratorUnavailable,
    Sampling,
)
from engine.guard.request import Answered
from engine.messages import Conversation, Message
from engine.storage.atomic import StorageFull

__all__ = ["ApiError", "ChatRequest", "Writer", "api_error_of", "read_request"]

_HARMLESS = frozenset(
    "metadata parallel_tool_calls prompt_cache_key prompt_cache_retention safety_identifier "
    "service_tier store stream_options user verbosity".split()
)
"""Fields that change nothing of what is answered here, or nothing that can be broken."""
_LONGEST_STOP = 200
_MOST_STOPS = 4
_STATUS = {
    FailureReason.CONTEXT_OVERFLOW: (400, "context_length_exceeded"),
    FailureReason.REJECTED: (400, "rejected"),
    FailureReason.TEMPLATE_ERROR: (400, "template_error"),
    FailureReason.CONTENT_FILTER: (400, "content_filter"),
    FailureReason.TIMEOUT: (504, "timeout"),
}


class ApiError(Exception):
    """An error as OpenAI's clients read it."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: str


class _Turn(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part]

    @property
    def message(self) -> Message:
        """As the engine has it; a developer's turn is a system's."""
        said = self.content
        text = said if isinstance(said, str) else "".join(part.text for part in said)
        return Message("system" if self.role == "developer" else self.role, text)


class _StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of a request; other fields are refused by `read_request`."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[_Turn] = Field(min_length=1, max_length=2000)
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=10)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None

    @property
    def conversation(self) -> Conversation:
        """The turns."""
        return tuple(turn.message for turn in self.messages)

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts before which the answer ends."""
        found = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in found if text)

    def sampling(self, ours: Sampling) -> Sampling:
        """As the client asks, and ours where it does not; never longer than ours."""
        asked = min(
            self.max_completion_tokens or self.max_tokens or ours.max_tokens, ours.max_tokens
        )
        return Sampling(
            max_tokens=asked,
            temperature=ours.temperature if self.temperature is None else self.temperature,
            top_p=ours.top_p if self.top_p is None else self.top_p,
            min_tokens=min(ours.min_tokens, asked),
        )

    def request_seed(self) -> int:
        """The client's, as 32 bits, or one that is drawn."""
        return secrets.randbits(32) if self.seed is None else self.seed % 2**32


def read_request(value: Any) -> ChatRequest:
    """Raises ApiError for what is no request, and for one that asks for what cannot be screened: tools,
    several answers, images, log-probabilities."""
    try:
        request = ChatRequest.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        param = ".".join(map(str, first["loc"])) or None
        raise ApiError(400, f"{param}: {first['msg']}", "invalid_value", param=param) from None
    for name, asked in (request.model_extra or {}).items():
        if name not in _HARMLESS and asked not in (None, False, 0, [], {}):
            raise ApiError(400, f"{name} is not supported by this guard", "unsupported", param=name)
    if request.n not in (None, 1):
        raise ApiError(400, "n must be 1: one answer is screened", "unsupported", param="n")
    if request.messages[-1].role != "user":
        raise ApiError(
            400, "the last message must be the user's", "invalid_value", param="messages"
        )
    if len(request.stops) > _MOST_STOPS or any(len(one) > _LONGEST_STOP for one in request.stops):
        told = f"stop takes {_MOST_STOPS} texts of {_LONGEST_STOP} characters at most"
        raise ApiError(400, told, "invalid_value", param="stop")
    return request


def api_error_of(error: Exception) -> ApiError:
    """What a client is told of an error; nothing of what a file or a server said in detail."""
    match error:
        case ApiError():
            return error
        case GenerationError():
            status, code = _STATUS.get(error.reason, (502, "upstream_error"))
            return ApiError(status, f"the model gave no answer ({error.reason})", code)
        case GeneratorUnavailable():
            return ApiError(503, "the model is not there", "upstream_unavailable", retry_after=5)
        case StorageFull():
            return ApiError(503, "the log cannot be written, so nothing is answered", "log_full")
        case InputError():
            return ApiError(409, str(error), "conflict")
    return ApiError(500, "something went wrong", "internal_error")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes answers to one request."""

    id: str
    created: int
    model: str

    def whole(self, answered: Answered) -> dict[str, Any]:
        """A chat completion."""
        message = {"role": "assistant", "content": answered.text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _finish(answered),
        }
        return self._head("chat.completion") | {
            "choices": [choice],
            "usage": _usage(answered),
            "solon": {"done": answered.done},
        }

    def first(self) -> bytes:
        """The event that opens a stream."""
        return self._event({"role": "assistant", "content": ""})

    def piece(self, text: str) -> bytes:
        """An event with more of the answer."""
        return self._event({"content": text})

    def last(self, answered: Answered, *, usage: bool) -> bytes:
        """The events that end it: the rest, why it ended, the tokens if they were asked for."""
        written = self.piece(answered.rest) if answered.rest else b""
        written += self._event({}, _finish(answered), {"solon": {"done": answered.done}})
        if usage:
            head = self._head("chat.completion.chunk")
            written += _sent(head | {"choices": [], "usage": _usage(answered)})
        return written + b"data: [DONE]\n\n"

    @staticmethod
    def failed(error: Mapping[str, Any]) -> bytes:
        """The last event of a stream that cannot go on."""
        return _sent(error) + b"data: [DONE]\n\n"

    def _event(
        self, delta: Mapping[str, str], finish: str | None = None, more: Mapping[str, Any] = {}
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _sent(self._head("chat.completion.chunk") | {"choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def _sent(event: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


def _finish(answered: Answered) -> str:
    if answered.done in ("refused", "held", "stopped"):
        return "content_filter"
    return "length" if answered.truncated and answered.done == "passed" else "stop"


def _usage(answered: Answered) -> dict[str, int]:
    prompt, completion = answered.prompt_tokens, answered.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
