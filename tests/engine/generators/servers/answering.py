"""A server on the loopback interface that answers as a function of the body says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiohttp import web

from engine.generators.base import Request, Sampling
from engine.generators.server import ServerGenerator
from engine.generators.servers.asked import Asked
from engine.generators.servers.pool import Options
from engine.messages import Message
from tests.engine.loopback import on_loopback

__all__ = ["QUESTION", "Reply", "answer", "ask", "error", "request", "serving"]

T = TypeVar("T")
Reply = tuple[int, Any, Mapping[str, str]] | dict[str, Any]
Handler = Callable[[dict[str, Any]], Reply]
QUESTION = (Message("user", "Is it so?"),)


@asynccontextmanager
async def serving(handler: Handler, seen: list[web.Request] | None = None) -> AsyncIterator[str]:
    """Yields the base URL. `seen` collects the requests."""

    async def complete(asked: web.Request) -> web.Response:
        if seen is not None:
            seen.append(asked)
        found = handler(await asked.json())
        status, body, headers = found if isinstance(found, tuple) else (200, found, {})
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m", "max_model_len": 4096}]})

    routes = [web.post("/v1/chat/completions", complete), web.get("/v1/models", models)]
    async with on_loopback(routes) as url:
        yield url


def ask(
    handler: Handler,
    use: Callable[[ServerGenerator], Awaitable[T]],
    *,
    asked: Asked | None = None,
    retries: int = 1,
    seen: list[web.Request] | None = None,
    **more: Any,
) -> T:
    """What `use` makes of a generator over such a server."""

    async def main() -> T:
        async with serving(handler, seen) as url:
            options = Options(timeout=5, retries=retries, backoff=0.01)
            generator = ServerGenerator("m", (url,), options=options, asked=asked, **more)
            await generator.start()
            try:
                return await use(generator)
            finally:
                await generator.close()

    return asyncio.run(main())


def request(text: str = "hello", *before: Message) -> Request:
    return Request((*before, Message("user", text)), Sampling(max_tokens=40), seed=2**32 - 1)


def answer(
    text: str | None = "Fine.", *, finish: str | None = "stop", **message: Any
) -> dict[str, Any]:
    """A response with one choice."""
    return {
        "choices": [
            {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
    }


def error(
    status: int, message: Any, headers: Mapping[str, str] | None = None, **more: Any
) -> Reply:
    """OpenAI's shape of an error."""
    return status, {"error": {"message": message, **more}}, headers or {}
