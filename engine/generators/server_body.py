"""What a server sends, as far as it is read: neither a flood nor a gzip bomb fills the memory."""

import zlib
from collections.abc import AsyncIterator
from typing import Any

from engine.generators.base import FailureReason
from engine.generators.server_pool import TransientError

__all__ = ["MOST_BYTES", "bound_body"]

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
