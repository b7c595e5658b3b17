"""An OpenAI-compatible server on the loopback interface that misbehaves on schedule."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from aiohttp import web

from tests.engine.loopback import on_loopback

__all__ = ["FakeServer", "Fault", "every"]

Fault = int | str | dict[str, Any] | None
"""A status, `garbage`, `closed`, `hang`, a JSON body to send instead, or None for an answer."""

FAULTS: tuple[Fault, ...] = (500, 429, "garbage", "closed", 503, {"choices": []})
"""Those that a server owns up to at once: what hangs is noticed by a clock alone."""


def every(n: int, faults: tuple[Fault, ...] = FAULTS) -> Iterator[Fault]:
    """Each n-th request meets the next fault."""
    while True:
        for fault in faults:
            yield from repeat(None, n - 1)
            yield fault


def echo(body: dict[str, Any]) -> str:
    return f"re: {body['messages'][-1]['content']}"


@dataclass
class FakeServer:
    """Answers `reply(body)` except where the schedule says otherwise; keeps the bodies it saw."""

    faults: Iterator[Fault] = field(default_factory=lambda: repeat(None))
    reply: Callable[[dict[str, Any]], str] = echo
    logprobs: tuple[tuple[str, float], ...] = (("Yes", -0.5), ("No", -1.5))
    scores_prompts: bool = True
    """Whether it knows `prompt_logprobs`, as vLLM does."""
    error: str = "injected"
    alive: Fault = None
    bodies: list[dict[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serves on a free port; yields the base URL."""
        routes = [
            web.post("/v1/chat/completions", self._complete),
            web.get("/v1/models", self._models),
        ]
        async with on_loopback(routes) as url:
            yield url

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        fault = next(self.faults)
        return await self._fail(request, fault) if fault else web.json_response(self._answer(body))

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return await self._fail(request, self.alive) if self.alive else web.json_response({})

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        match fault:
            case "hang":
                await asyncio.sleep(60)
            case "closed":
                assert request.transport is not None
                request.transport.close()
            case int(status):
                headers = {"Retry-After": "0"} if status == 429 else {}
                error = {"error": {"message": self.error}}
                return web.json_response(error, status=status, headers=headers)
            case dict(body):
                return web.json_response(body)
        return web.Response(text='{"choices": [{"mess', content_type="application/json")

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        top = [{"token": token, "logprob": logprob} for token, logprob in self.logprobs]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": self.reply(body)},
            "finish_reason": "length" if body["max_tokens"] == 1 else "stop",
            "logprobs": {"content": [{**top[0], "top_logprobs": top}]}
            if body.get("logprobs")
            else None,
        }
        usage = {
            "prompt_tokens": len(json.dumps(body["messages"])),
            "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 2},
        }
        answer = {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}
        if "prompt_logprobs" in body and self.scores_prompts:
            answer["prompt_logprobs"] = score_words(body)
        return answer


def score_words(body: dict[str, Any]) -> list[dict[str, dict[str, float]] | None]:
    """A token for each word and for each turn's beginning; log-probability minus the length."""
    words = [w for m in body["messages"] for w in (f"<{m['role']}>", *m["content"].split())]
    words += [] if body.get("continue_final_message") else ["<assistant>"]
    return [None, *({word: {"logprob": -float(len(word)), "rank": 1}} for word in words[1:])]
