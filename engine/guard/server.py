"""The guard over HTTP, as OpenAI's clients speak it."""

import secrets
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from constitution.reading import NotJson, parse_json
from engine.generators.base import Sampling
from engine.guard.guard import Guard
from engine.guard.openai_api import ApiError, ChatRequest, Writer, api_error_of, read_request
from engine.guard.request import Asked
from engine.guard.settings import ServerSettings
from engine.guard.tenants import Tenants, is_key

__all__ = ["Desk", "application"]

_EVENTS = "text/event-stream"


@dataclass
class Desk:
    """Takes requests in for a guard: who asks, how often, how much, and by which name of the model."""

    guard: Guard
    tenants: Tenants
    settings: ServerSettings
    sampling: Sampling
    name: str
    window: int | None = None
    admin_key: str | None = None
    in_flight: int = 0

    def asked(self, request: ChatRequest, tenant: str) -> Asked:
        """What the guard is asked. Raises ApiError for another model's name."""
        if request.model != self.name:
            told = f"there is no model {request.model[:100]!r} here: it is called {self.name!r}"
            raise ApiError(404, told, "model_not_found", param="model")
        return Asked(
            id=f"chatcmpl-{secrets.token_hex(12)}",
            tenant=tenant,
            profile=self.tenants.named(tenant),
            messages=request.conversation,
            sampling=request.sampling(self.sampling),
            seed=request.request_seed(),
            stop=request.stops,
        )

    def tenant(self, headers: Mapping[str, str]) -> str:
        """Who asks. Raises ApiError for nobody known, and for one who asks too often."""
        name = self.tenants.find(_bearer(headers))
        if name is None:
            raise ApiError(401, "this key is not known here", "invalid_api_key")
        if wait := self.tenants.wait(name):
            raise ApiError(429, "too many requests", "rate_limit_exceeded", retry_after=wait)
        if self.in_flight >= self.settings.max_in_flight:
            raise ApiError(503, "too many requests at a time", "overloaded", retry_after=1)
        return name

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A request is in flight for the block."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    def require_admin(self, headers: Mapping[str, str]) -> None:
        """Raises ApiError unless the request carries the admin's key."""
        if self.admin_key is None or not is_key(_bearer(headers), self.admin_key):
            raise ApiError(403, "this needs the admin's key", "forbidden")


def application(desk: Desk) -> Any:
    """The ASGI application: /v1/chat/completions, /v1/models, /health, /metrics, /admin/..."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    pages = _Pages(desk)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", pages.chat, methods=["POST"]),
            Route("/v1/models", pages.models),
            Route("/v1/models/{name:path}", pages.models),
            Route("/health", pages.health),
            Route("/metrics", pages.metrics),
            Route("/admin/{what}", pages.administer, methods=["POST"]),
        ]
    )


class _Pages:
    """What each address answers. Every error becomes one that OpenAI's clients read."""

    def __init__(self, desk: Desk) -> None:
        from starlette import responses

        self._desk, self._guard = desk, desk.guard
        self._told = responses

    async def chat(self, request: Any) -> Any:
        """POST /v1/chat/completions"""
        try:
            tenant = self._desk.tenant(request.headers)
            wanted = read_request(await _body(request, self._desk.settings.max_body))
            asked = self._desk.asked(wanted, tenant)
            writer = Writer(asked.id, int(time.time()), self._desk.name)
            answer = self._streamed if wanted.stream else self._whole
            return await answer(asked, writer, wanted)
        except Exception as error:  # noqa: BLE001  told to the client
            return self._refused(error)

    async def models(self, request: Any) -> Any:
        """GET /v1/models, and one of them"""
        name, ours = request.path_params.get("name"), self._desk.name
        row = {"id": ours, "object": "model", "created": 0, "owned_by": "solon"}
        if self._desk.tenants.find(_bearer(request.headers)) is None:
            return self._refused(ApiError(401, "this key is not known here", "invalid_api_key"))
        if name not in (None, ours):
            missing = f"there is no model {name[:100]!r} here"
            return self._refused(ApiError(404, missing, "model_not_found"))
        return self._told.JSONResponse(row if name else {"object": "list", "data": [row]})

    async def health(self, request: Any) -> Any:
        """GET /health: it is up, and whether it answers"""
        stopped = self._guard.keeping.breaker.why() is not None
        return self._told.JSONResponse({"status": "stopped" if stopped else "ok"})

    async def metrics(self, request: Any) -> Any:
        """GET /metrics"""
        keeping = self._guard.keeping
        keeping.metrics.breaker.set(keeping.breaker.why() is not None)
        kind = "text/plain; version=0.0.4"
        return self._told.Response(keeping.metrics.page(), media_type=kind)

    async def administer(self, request: Any) -> Any:
        """POST /admin/stop, /admin/reset, /admin/state"""
        try:
            self._desk.require_admin(request.headers)
            body = await _body(request, self._desk.settings.max_body)
            done = _administer(self._guard, request.path_params["what"], body)
            return self._told.JSONResponse(done)
        except Exception as error:  # noqa: BLE001  told to the client
            return self._refused(error)

    async def _whole(self, asked: Asked, writer: Writer, wanted: ChatRequest) -> Any:
        with self._desk.counted():
            answered = await self._guard.answer(asked)
        headers = {"x-request-id": asked.id, "x-solon-done": answered.done}
        return self._told.JSONResponse(writer.whole(answered), headers=headers)

    async def _streamed(self, asked: Asked, writer: Writer, wanted: ChatRequest) -> Any:
        usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
        events = await _begun(_events(self._desk, asked, writer, usage=usage))
        headers = {"x-request-id": asked.id, "cache-control": "no-cache"}
        return self._told.StreamingResponse(events, media_type=_EVENTS, headers=headers)

    def _refused(self, error: Exception) -> Any:
        told = api_error_of(error)
        self._guard.keeping.metrics.turned_away.labels(told.body["error"]["code"]).inc()
        return self._told.JSONResponse(told.body, told.status, told.headers)


def _administer(guard: Guard, what: str, body: Any) -> dict[str, Any]:
    """Stop or reset, by a person who says a name; or tell the state. Raises ApiError and InputError."""
    by = str(body.get("by") or "")[:100] if isinstance(body, dict) else ""
    breaker = guard.keeping.breaker
    if what in ("stop", "reset") and not by:
        raise ApiError(400, 'say who does it: {"by": "NAME"}', "invalid_value", param="by")
    if what == "stop":
        breaker.open(f"stopped by {by}")
        guard.keeping.note("breaker", {"open": True, "why": f"stopped by {by}"})
    elif what == "reset":
        why = breaker.why()
        breaker.close(by)
        guard.keeping.note("breaker", {"open": False, "by": by, "was": why})
    elif what != "state":
        raise ApiError(404, "there is stop, reset and state", "not_found")
    return {
        "open": breaker.why() is not None,
        "why": breaker.why(),
        "head": str(guard.keeping.log.head),
    }


async def _events(
    desk: Desk, asked: Asked, writer: Writer, *, usage: bool
) -> AsyncGenerator[bytes, None]:
    """A stream's events; the first once there is something to send, so that a model that fails before
    is an error of HTTP."""
    opening = writer.first()
    try:
        with desk.counted():
            async with aclosing(desk.guard.stream(asked, desk.window)) as pieces:
                async for piece in pieces:
                    match piece:
                        case str():
                            yield opening + writer.piece(piece)
                        case answered:
                            yield opening + writer.last(answered, usage=usage)
                    opening = b""
    except Exception as error:
        if opening:
            raise
        yield writer.failed(api_error_of(error).body)


async def _begun(events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same events, the first of which is there already. Raises what that raises."""
    first = await anext(events)

    async def again() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield first
            async for event in events:
                yield event

    return again()


async def _body(request: Any, most: int) -> Any:
    """The JSON of a request. Raises ApiError for one that is too long or is not JSON."""
    too_long = ApiError(413, f"the request is longer than {most} bytes", "request_too_large")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        raise too_long
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise too_long
    try:
        return parse_json(bytes(content)) if content else {}
    except NotJson as error:
        raise ApiError(400, f"the request {error}", "invalid_json") from None


def _bearer(headers: Mapping[str, str]) -> str:
    """The key that a request carries, or an empty text."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""
