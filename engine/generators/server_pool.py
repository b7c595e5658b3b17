"""Several OpenAI-compatible servers as one: routing, retries, and telling an outage from the end.

Of a hundred thousand requests some always meet a restart, a rate limit or a cut connection, so
everything that may pass is tried again. Only when a request has used up its attempts are the
servers asked for a sign of life: if one gives it, that request failed, else the run must stop.
"""

import asyncio
import hashlib
import os
import random
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from constitution.problems import InputError, Problem
from engine.generators.base import FailureReason, GenerationError, GeneratorUnavailable

__all__ = ["MOST_BYTES", "ServerPool", "TransientError", "bound_body"]

Answer = TypeVar("Answer")

_CONTEXT = re.compile(
    r"context.?(length|size|window)|max(imum)?.model.len|prompt.{0,60}(too long|longer than)"
    r"|inputs. tokens",
    re.IGNORECASE,
)
_PASSING = (408, 409, 429)
_NOBODY_BEHIND = (502, 503, 504)
_MISCONFIGURED = {
    401: "refuses the API key; set OPENAI_API_KEY",
    403: "refuses the API key; set OPENAI_API_KEY",
    404: "does not know this model or path; see the list at {url}/models",
}
_PROBE_SECONDS = 10.0
_LONGEST_BACKOFF = 30.0


class TransientError(GenerationError):
    """Worth another attempt, not before `retry_after` seconds."""

    def __init__(self, reason: FailureReason, message: str, retry_after: float = 0.0) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


@dataclass(slots=True)
class _Server:
    url: str
    client: Any
    in_flight: int = 0
    failures: int = 0
    """In a row."""
    resting_until: float = 0.0
    """Monotonic seconds; avoided until then if another server is not."""


class ServerPool:
    """Posts chat completions to the server that most likely has the prompt's prefix cached.

    `timeout` and `backoff` (the first pause at most, doubled each time) are seconds; `retries`
    counts attempts after the first; `concurrency` is requests in flight per server.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        *,
        timeout: float,
        retries: int,
        backoff: float,
        concurrency: int,
    ) -> None:
        self._urls = urls
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._slots = asyncio.Semaphore(concurrency * len(urls))
        self._servers: list[_Server] = []

    def start(self) -> None:
        """Raises InputError if the client library is missing."""
        try:
            import openai
        except ImportError as error:
            install = "install it with: pip install 'solon[server]'"
            raise InputError(Problem("server", "needs the package openai", install)) from error

        key = os.environ.get("OPENAI_API_KEY") or "none"
        self._servers = self._servers or [
            _Server(
                url,
                openai.AsyncOpenAI(
                    base_url=url,
                    api_key=key,
                    timeout=self._timeout,
                    max_retries=0,
                    default_headers={"Accept-Encoding": "gzip, deflate"},
                    http_client=openai.DefaultAsyncHttpxClient(
                        event_hooks={"response": [bound_body]}
                    ),
                ),
            )
            for url in self._urls
        ]

    async def close(self) -> None:
        servers, self._servers = self._servers, []
        for server in servers:
            await server.client.close()

    async def ask(
        self, body: dict[str, Any], affinity: str, read: Callable[[str], Answer]
    ) -> Answer:
        """The answer to `body`, as `read` makes it of the response's text.

        Requests of equal `affinity` go to one server while it keeps up. `read` may raise
        TransientError to have the request sent again. Raises GenerationError when attempts are
        used up or useless, GeneratorUnavailable when no server is alive or one refuses us.
        """
        for attempt in range(self._retries + 1):
            try:
                async with self._slots:
                    return await self._attempt(self._pick(affinity), body, read)
            except TransientError as error:
                failure = error
            if attempt < self._retries:
                await asyncio.sleep(max(self._pause(attempt), failure.retry_after))
        await self._require_life(failure)
        attempts = f"{self._retries + 1} attempts, the last: {failure}"
        raise GenerationError(failure.reason, attempts) from failure

    async def _attempt(
        self, server: _Server, body: dict[str, Any], read: Callable[[str], Answer]
    ) -> Answer:
        server.in_flight += 1
        try:
            answer = read(await self._post(server, body))
        except TransientError:
            server.resting_until = time.monotonic() + self._pause(server.failures)
            server.failures += 1
            raise
        finally:
            server.in_flight -= 1
        server.failures = 0
        return answer

    async def _post(self, server: _Server, body: dict[str, Any]) -> str:
        import openai

        try:
            async with asyncio.timeout(self._timeout):
                raw = server.client.chat.completions.with_raw_response
                text: str = (await raw.create(**body)).text
        except (openai.APITimeoutError, TimeoutError) as error:
            message = f"{server.url}: no answer in {self._timeout:g} s"
            raise TransientError(FailureReason.TIMEOUT, message) from error
        except RecursionError as error:  # the client shows the body of an error, however deep
            message = f"{server.url}: the body is nested too deeply"
            raise TransientError(FailureReason.BAD_RESPONSE, message) from error
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, TransientError):
                raise error.__cause__ from None
            message = f"{server.url}: {error.__cause__ or error}"
            raise TransientError(FailureReason.SERVER_ERROR, message) from error
        except openai.APIStatusError as error:
            raise _refusal(server.url, body["model"], error) from error
        return text

    def _pick(self, affinity: str) -> _Server:
        """The affinity's own server (by rendezvous hashing) unless it rests or is overloaded."""
        now = time.monotonic()
        awake = [server for server in self._servers if server.resting_until <= now]
        candidates = awake or self._servers
        idlest = min(candidates, key=lambda server: server.in_flight)
        home = max(candidates, key=lambda server: _hash(affinity, server.url))
        return home if home.in_flight <= 1.25 * idlest.in_flight + 4 else idlest

    def _pause(self, attempt: int) -> float:
        """Full jitter, so that clients that failed together do not return together."""
        longest: float = min(self._backoff * 2**attempt, _LONGEST_BACKOFF)
        return random.uniform(0, longest)

    async def _require_life(self, failure: TransientError) -> None:
        alive = await asyncio.gather(*(_is_alive(server) for server in self._servers))
        if not any(alive):
            urls = ", ".join(self._urls)
            raise GeneratorUnavailable(
                f"no server answers ({urls}) after {self._retries + 1} attempts, the last: "
                f"{failure}; start it again"
            ) from failure


async def _is_alive(server: _Server) -> bool:
    """Whether it says anything to GET /models, if only that it has no such page."""
    import openai

    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            await server.client.models.with_raw_response.list()
    except openai.APIStatusError as error:
        return error.status_code not in _NOBODY_BEHIND
    except (openai.APIConnectionError, TransientError, TimeoutError):
        return False
    return True


def _refusal(url: str, model: str, error: Any) -> Exception:
    """What an HTTP error status means for the request, or for the run."""
    status, message = int(error.status_code), f"{url}: {error.message}"
    if status >= 500 or status in _PASSING:
        after = _seconds(error.response.headers.get("retry-after"))
        return TransientError(FailureReason.SERVER_ERROR, message, after)
    if status in _MISCONFIGURED:
        reason = _MISCONFIGURED[status].format(url=url)
        return GeneratorUnavailable(f"{url} (model {model}) {reason}: {error.message}")
    overflow = _CONTEXT.search(error.message)
    reason = FailureReason.CONTEXT_OVERFLOW if overflow else FailureReason.REJECTED
    return GenerationError(reason, message)


def _seconds(retry_after: str | None) -> float:
    """The header's seconds, at most a minute; 0 if there are none, or a date instead."""
    try:
        return min(max(float(retry_after or 0), 0.0), 60.0)
    except ValueError:
        return 0.0


def _hash(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()


MOST_BYTES = 32 * 2**20
"""Of one response, decompressed. The log-probabilities of a prompt of 100,000 tokens are a third."""


async def bound_body(response: Any) -> None:
    """A hook of the HTTP client: the body is decompressed here, and raises TransientError beyond
    `MOST_BYTES`, or when it is compressed in another way than gzip or deflate."""
    coding = response.headers.pop("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "deflate", ""):
        raise _bad(f"the body is compressed as {coding[:40]!r}, which was not asked for")
    # The client checks for its own class of streams, and which HTTP library it uses has changed.
    kind = type("BoundedStream", (_Bounded, type(response.stream)), {})
    response.stream = kind(response.stream, packed=coding in ("gzip", "deflate"))


class _Bounded:
    def __init__(self, stream: Any, *, packed: bool) -> None:
        self._inner = stream
        self._unpack = zlib.decompressobj(47) if packed else None  # 47: gzip or zlib, by its header
        self._left = MOST_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            yield self._taken(chunk)

    def _taken(self, chunk: bytes) -> bytes:
        if self._unpack:
            try:
                chunk = self._unpack.decompress(chunk, self._left + 1)
            except zlib.error as error:
                raise _bad(f"the body cannot be decompressed ({error})") from error
        self._left -= len(chunk)
        if self._left < 0:
            raise _bad(f"the body is larger than {MOST_BYTES // 2**20} MiB")
        return chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _bad(what: str) -> TransientError:
    return TransientError(FailureReason.BAD_RESPONSE, f"bad response: {what}")
