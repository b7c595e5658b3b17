"""Several OpenAI-compatible servers as one: routing, retries, and telling an outage from the end.

Of a hundred thousand requests some always meet a restart, a rate limit or a cut connection, so
everything that may pass is tried again. Only when a request has used up its attempts are the
servers asked for a sign of life: if one gives it, that request failed, else the run must stop.
No server of several is given up for good: one that fails or refuses us rests, the others have its
requests, and it is tried again.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from engine.generators.base import GenerationError, GeneratorUnavailable
from engine.generators.servers.dialect import Dialect
from engine.generators.servers.endpoint import Endpoint
from engine.generators.servers.errors import (
    CUT_OFF,
    Answered,
    FieldRefused,
    RateLimited,
    TransientError,
    error_of,
    met_its_limit,
    status_of,
)
from engine.generators.servers.limits import Limiter
from engine.generators.servers.transport import Transport

__all__ = ["NoServer", "Options", "ServerPool"]

Result = TypeVar("Result")

_NOBODY_BEHIND = (502, 503, 504)
_LONGEST_BACKOFF = 30.0
_MOST_DOUBLINGS = 16
_LONGEST_REFUSED = 900.0
"""Seconds for which a server may say "too many requests" to everything."""
_REST_OF_REFUSED = 30.0
"""Seconds for which one of several that refuses us is not asked again."""


class NoServer(GeneratorUnavailable):
    """None of the servers that were asked gives a sign of life."""


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout` and `backoff` (the first pause at most, doubled each time) are seconds; `retries`
    counts attempts after the first; `concurrency` is requests in flight per server at most."""

    timeout: float = 120.0
    retries: int = 8
    backoff: float = 0.5
    concurrency: int = 256


@dataclass(slots=True, eq=False)
class _Server:
    endpoint: Endpoint
    limiter: Limiter
    failures: int = 0
    """In a row."""
    resting_until: float = 0.0
    """Monotonic seconds; avoided until then if another server is not."""
    refuses: bool = False
    """Whether it said last that it will never take a request of ours, as one does that serves
    another model, or a gateway that has lost what was behind it."""

    @property
    def load(self) -> int:
        """Requests sent, and those that wait for their turn."""
        return self.limiter.load

    def rests(self, now: float) -> bool:
        return self.resting_until > now or self.limiter.held


class ServerPool:
    """Posts to the server that most likely has the prompt's prefix cached, in the `dialect` of the
    model that they all serve."""

    def __init__(
        self, endpoints: tuple[Endpoint, ...], options: Options, dialect: Dialect, model: str
    ) -> None:
        self._only: _Server | None = None
        """The server to ask, while only one is to be."""
        self._options = options
        self._dialect = dialect
        self._model = model
        self._transport = Transport(options.timeout)
        self._servers = [
            _Server(endpoint, Limiter(options.concurrency, pause=2 * options.backoff))
            for endpoint in endpoints
        ]

    def start(self) -> None:
        """Raises InputError if the client library is missing."""
        self._transport.start()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def ask(
        self,
        body: Mapping[str, Any],
        affinity: str,
        read: Callable[[str], Result],
        *,
        path: str = "chat/completions",
        retries: int | None = None,
    ) -> Result:
        """The answer to `body` posted to `path`, as `read` makes it of the response's text.

        Requests of equal `affinity` go to one server while it keeps up. `read` may raise
        TransientError to have the request sent again. Raises GenerationError when attempts are
        used up or useless (FieldRefused where a field is refused that cannot be left out), and
        GeneratorUnavailable when no server is alive (NoServer) or all refuse us.
        """
        attempt, last = 0, self._options.retries if retries is None else retries
        while True:
            server, written = self._pick(affinity), self._dialect.body(body)
            try:
                async with server.limiter:
                    if self._is_avoided(server):  # it failed while this request waited for its turn
                        continue
                    return await self._attempt(server, path, written, read)
            except NoServer:
                raise
            except GeneratorUnavailable:
                server.refuses = True
                server.resting_until = time.monotonic() + _REST_OF_REFUSED
                if all(one.refuses for one in self._asked):
                    raise
                await asyncio.sleep(self._pause(attempt))
            except RateLimited as limited:
                self._hold(server, limited)
            except FieldRefused as refused:
                if not self._dialect.learn(refused, body, written):
                    raise
            except TransientError as error:
                if attempt >= last:
                    await self._require_life(error, last + 1)
                    attempts = f"{last + 1} attempts, the last: {error}"
                    raise GenerationError(error.reason, attempts) from error
                await asyncio.sleep(max(self._pause(attempt), error.retry_after))
                attempt += 1

    async def each(self, check: Callable[[], Awaitable[None]]) -> list[NoServer]:
        """Have `check` ask one server after the other, each alone, and say which are away. Raises as
        it does, and NoServer where all of them are."""
        away: list[NoServer] = []
        try:
            for server in self._servers:
                self._only = server
                try:
                    await check()
                except NoServer as error:
                    away.append(error)
        finally:
            self._only = None
        if len(away) == len(self._servers):
            raise away[0]
        return away

    async def models(self) -> list[Answered]:
        """What each server that answers says of its models, but for those that refuse us."""
        there = [server for server in self._asked if not server.refuses]
        asked = (self._transport.get(server.endpoint, "models") for server in there)
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [one for one in found if isinstance(one, Answered)]

    async def _attempt(
        self, server: _Server, path: str, written: dict[str, Any], read: Callable[[str], Result]
    ) -> Result:
        try:
            answered = await self._transport.post(server.endpoint, path, written)
            if (status := status_of(answered)) >= 400:
                if met_its_limit(answered):
                    return read(CUT_OFF)
                told = server.endpoint.redacted(answered.text)
                answered = answered._replace(status=status, text=told)
                raise error_of(answered, written, self._model)
            result = read(answered.text)
        except TransientError:
            if not server.rests(time.monotonic()):  # requests that it had together fail together
                server.resting_until = time.monotonic() + self._pause(server.failures)
                server.failures += 1
            raise
        server.failures, server.refuses = 0, False
        server.limiter.answered()
        return result

    def _hold(self, server: _Server, limited: RateLimited) -> None:
        """Have all requests to this server wait. Raises GeneratorUnavailable where all of them have
        refused everything for long."""
        server.limiter.refused(limited.retry_after)
        now = time.monotonic()
        since = [one.limiter.refused_since or now for one in self._asked]
        if now - max(since) > _LONGEST_REFUSED:
            minutes = f"{_LONGEST_REFUSED / 60:.0f} minutes"
            message = f"{limited}; it has taken no request for {minutes}: resume later"
            raise GeneratorUnavailable(message) from limited

    def _pick(self, affinity: str) -> _Server:
        """The affinity's own server (by rendezvous hashing) unless it rests or is overloaded."""
        if len(self._asked) == 1:
            return self._asked[0]
        now = time.monotonic()
        awake = [server for server in self._servers if not server.rests(now)]
        candidates = awake or self._servers
        idlest = min(candidates, key=lambda server: server.load)
        home = max(candidates, key=lambda server: _hash(affinity, server.endpoint.url))
        return home if home.load <= 1.25 * idlest.load + 4 else idlest

    def _is_avoided(self, server: _Server) -> bool:
        """Whether a server rests while another one does not."""
        now = time.monotonic()
        return server.rests(now) and not all(one.rests(now) for one in self._asked)

    @property
    def _asked(self) -> list[_Server]:
        return self._servers if self._only is None else [self._only]

    def _pause(self, attempt: int) -> float:
        """Full jitter, so that clients that failed together do not return together."""
        doubled = self._options.backoff * 2 ** min(attempt, _MOST_DOUBLINGS)
        longest = min(doubled, _LONGEST_BACKOFF)
        return random.uniform(0, longest)

    async def _require_life(self, failure: TransientError, attempts: int) -> None:
        if any(answered.status not in _NOBODY_BEHIND for answered in await self.models()):
            return
        urls = ", ".join(server.endpoint.url for server in self._asked)
        raise NoServer(
            f"no server answers ({urls}) after {attempts} attempts, the last: {failure}; "
            "start it again"
        ) from failure


def _hash(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).digest()
