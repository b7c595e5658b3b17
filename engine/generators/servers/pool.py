"""Several OpenAI-compatible servers as one: routing, retries, and telling an outage from the end.

Of a hundred thousand requests some always meet a restart, a rate limit or a cut connection, so
everything that may pass is tried again. Only when a request has used up its attempts are the
servers asked for a sign of life: if one gives it, that request failed, else the run must stop.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Mapping
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

__all__ = ["Options", "ServerPool"]

Result = TypeVar("Result")

_NOBODY_BEHIND = (502, 503, 504)
_LONGEST_BACKOFF = 30.0
_MOST_DOUBLINGS = 16
_LONGEST_REFUSED = 900.0
"""Seconds for which a server may say "too many requests" to everything."""


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
        self.only: int | None = None
        """The server to ask, while only one is to be."""
        self._options = options
        self._dialect = dialect
        self._model = model
        self._transport = Transport(options.timeout)
        self._servers = [
            _Server(endpoint, Limiter(options.concurrency, pause=2 * options.backoff))
            for endpoint in endpoints
        ]

    def __len__(self) -> int:
        return len(self._servers)

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
        GeneratorUnavailable when no server is alive or one refuses us.
        """
        attempt, last = 0, self._options.retries if retries is None else retries
        while True:
            server, written = self._pick(affinity), self._dialect.body(body)
            try:
                async with server.limiter:
                    return await self._attempt(server, path, written, read)
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

    async def models(self) -> list[Answered]:
        """What each server that answers says of its models."""
        asked = (self._transport.get(server.endpoint, "models") for server in self._servers)
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
            server.resting_until = time.monotonic() + self._pause(server.failures)
            server.failures += 1
            raise
        server.failures = 0
        server.limiter.answered()
        return result

    def _hold(self, server: _Server, limited: RateLimited) -> None:
        """Have all requests to this server wait. Raises GeneratorUnavailable where it has refused
        everything for long."""
        server.limiter.refused(limited.retry_after)
        since = server.limiter.refused_since
        if since is not None and time.monotonic() - since > _LONGEST_REFUSED:
            minutes = f"{_LONGEST_REFUSED / 60:.0f} minutes"
            message = f"{limited}; it has taken no request for {minutes}: resume later"
            raise GeneratorUnavailable(message) from limited

    def _pick(self, affinity: str) -> _Server:
        """The affinity's own server (by rendezvous hashing) unless it rests or is overloaded."""
        if self.only is not None or len(self._servers) == 1:
            return self._servers[self.only or 0]
        now = time.monotonic()
        awake = [server for server in self._servers if not server.rests(now)]
        candidates = awake or self._servers
        idlest = min(candidates, key=lambda server: server.load)
        home = max(candidates, key=lambda server: _hash(affinity, server.endpoint.url))
        return home if home.load <= 1.25 * idlest.load + 4 else idlest

    def _pause(self, attempt: int) -> float:
        """Full jitter, so that clients that failed together do not return together."""
        doubled = self._options.backoff * 2 ** min(attempt, _MOST_DOUBLINGS)
        longest = min(doubled, _LONGEST_BACKOFF)
        return random.uniform(0, longest)

    async def _require_life(self, failure: TransientError, attempts: int) -> None:
        if any(answered.status not in _NOBODY_BEHIND for answered in await self.models()):
            return
        urls = ", ".join(server.endpoint.url for server in self._servers)
        raise GeneratorUnavailable(
            f"no server answers ({urls}) after {attempts} attempts, the last: {failure}; "
            "start it again"
        ) from failure


def _hash(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=8).digest()
