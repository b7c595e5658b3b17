"""Requests over HTTP with aiohttp: bounded bodies, no redirects elsewhere, errors without secrets."""

import asyncio
import json
import zlib
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from constitution.problems import missing
from engine.generators.base import FailureReason, GeneratorUnavailable
from engine.generators.servers.endpoint import Endpoint, without_password
from engine.generators.servers.errors import Answered, TransientError

__all__ = ["MOST_BYTES", "Transport"]

MOST_BYTES = 32 * 2**20
"""Of one response, decompressed. The log-probabilities of a prompt of 100,000 tokens are a third."""
_CONNECTS_WITHIN = 10.0
_KEPT_ALIVE = 30.0
"""Seconds for which an idle connection is kept."""
_REDIRECTS = (301, 302, 303, 307, 308)


class Transport:
    """One session for all servers of a generator. `timeout` is seconds for a whole request."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._session: Any = None
        self._proxies: dict[str, str | None] = {}
        """By the base of a server's API: looked up once, since each look at the environment costs
        more than a request."""

    def start(self) -> None:
        """Raises InputError if the client library is missing. Called in the loop that will send."""
        try:
            import aiohttp
        except ImportError as error:
            raise missing("server", "aiohttp", "server") from error
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_ALIVE),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECTS_WITHIN),
                headers={"Accept-Encoding": "gzip, deflate", "User-Agent": "solon"},
                auto_decompress=False,
            )

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, endpoint: Endpoint, path: str, body: dict[str, Any]) -> Answered:
        """Raises TransientError where there is no whole answer, GeneratorUnavailable where there
        will never be one."""
        data = json.dumps(body).encode()
        headers = {**endpoint.headers, "Content-Type": "application/json"}
        return await self._send("POST", endpoint, path, headers=headers, data=data)

    async def get(self, endpoint: Endpoint, path: str) -> Answered:
        """Raises as `post` does."""
        return await self._send("GET", endpoint, path, headers=dict(endpoint.headers))

    async def _send(self, method: str, endpoint: Endpoint, path: str, **sent: Any) -> Answered:
        import aiohttp

        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(method, endpoint, endpoint.of(path), sent)
        except TimeoutError as error:
            message = f"{endpoint.url}: no answer in {self._timeout:g} s"
            raise TransientError(FailureReason.TIMEOUT, message) from error
        except aiohttp.ClientConnectorCertificateError as error:
            message = f"{endpoint.url}: its certificate is not trusted"
            raise GeneratorUnavailable(message) from error
        except aiohttp.ClientHttpProxyError as error:
            message = f"{endpoint.url}: the proxy of the environment answers {error.status}"
            raise TransientError(FailureReason.SERVER_ERROR, message) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"{endpoint.url}: {_cause(error)}"
            raise TransientError(FailureReason.SERVER_ERROR, message) from error

    async def _exchange(
        self, method: str, endpoint: Endpoint, address: str, sent: dict[str, Any]
    ) -> Answered:
        for _ in range(2):
            async with self._session.request(
                method, address, allow_redirects=False, proxy=self._proxy(endpoint), **sent
            ) as response:
                if response.status not in _REDIRECTS:
                    text = await _body(response, endpoint.url)
                    headers = {name.lower(): value for name, value in response.headers.items()}
                    return Answered(response.status, text, headers, endpoint.url)
                address = _redirected(endpoint.url, address, response.headers.get("Location", ""))
        raise GeneratorUnavailable(f"{endpoint.url}: redirects without end")

    def _proxy(self, endpoint: Endpoint) -> str | None:
        """The environment's proxy for a server. Raises GeneratorUnavailable for one of another kind
        than http."""
        if endpoint.url not in self._proxies:
            self._proxies[endpoint.url] = _proxy_for(endpoint.url)
        return self._proxies[endpoint.url]


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    scheme, found, _ = proxy.partition("://")
    if found and scheme not in ("http", "https"):
        what = f"the environment's proxy for it is a {scheme} proxy, which is not supported"
        raise GeneratorUnavailable(f"{url}: {what}; name an http:// one, or set NO_PROXY")
    return proxy if found else f"http://{proxy}"


def _redirected(url: str, address: str, location: str) -> str:
    """Where to ask instead. Raises GeneratorUnavailable where that is another host: prompts and keys
    go where they were meant for."""
    target = location
    try:
        target = urljoin(address, location)
        before, after = urlsplit(address), urlsplit(target)
        same = (before.hostname, before.port) == (after.hostname, after.port)
    except ValueError:
        same = False
    if location and same and (before.scheme == after.scheme or after.scheme == "https"):
        return target
    where = without_password(target.partition("?")[0])
    raise GeneratorUnavailable(
        f"{url}: sends requests on to {where}, which is not followed; if that is right, name it"
    )


async def _body(response: Any, url: str) -> str:
    """The text of a body, decompressed. Raises TransientError beyond `MOST_BYTES`, or where it is
    compressed in another way than was asked for."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "deflate", ""):
        raise _bad(url, f"the body is compressed as {coding[:40]!r}, which was not asked for")
    unpack = zlib.decompressobj(47) if coding in ("gzip", "deflate") else None  # 47: by its header
    parts, left = [], MOST_BYTES
    async for chunk in response.content.iter_any():
        if unpack:
            try:
                chunk = unpack.decompress(chunk, left + 1)
            except zlib.error as error:
                raise _bad(url, f"the body cannot be decompressed ({error})") from error
        left -= len(chunk)
        if left < 0:
            response.close()
            raise _bad(url, f"the body is larger than {MOST_BYTES // 2**20} MiB")
        parts.append(chunk)
    return b"".join(parts).decode("utf-8", "replace")


def _bad(url: str, what: str) -> TransientError:
    return TransientError(FailureReason.BAD_RESPONSE, f"{url}: bad response: {what}")


def _cause(error: BaseException) -> str:
    """In one line, without the addresses that aiohttp repeats: they may hold a proxy's password."""
    inner = getattr(error, "os_error", None) or error.__cause__
    said = getattr(inner, "strerror", None) or (str(inner) if inner else "")
    return said or without_password(str(error)) or type(error).__name__
