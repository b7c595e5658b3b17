"""Where a server is, and what every request to it carries: the key, headers, a query.

A key belongs to a server. `$OPENAI_API_KEY` goes to the host and port of `$OPENAI_BASE_URL` and to
OpenAI's own over https, and to no other; any other server's is named with `key_env`. Nothing secret
is in `url` or in an error's message.
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, unquote_plus, urlencode, urlsplit, urlunsplit

from constitution.problems import InputError, Problem
from constitution.reading import NotJson, parse_json
from engine.environment import from_environment, in_environment

__all__ = ["Endpoint", "endpoint_of", "key_sent_to", "without_password"]

_OPENAI = "https://api.openai.com/v1"
_DEFAULT_KEY = "OPENAI_API_KEY"
_SET = "set it to the server's key"
_IN_PLACE_OF_KEY = frozenset({"authorization", "api-key"})
"""Headers that carry a key of their own."""
_SHORTEST_SECRET = 5
_USER = re.compile(r"://[^\s/@?#,]*@")
_HEADERS = re.compile(r"([?&]headers=)([^&]*)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One server. `url` is the base of its API, without a user's name or password."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    query: str = ""
    """What follows the path of every request, with its `?`."""

    def redacted(self, text: str) -> str:
        """What the server said, without what was sent to it in secret: some repeat a key."""
        for value in self.headers.values():
            for secret in {value, value.rpartition(" ")[2]}:
                text = text.replace(secret, "***") if len(secret) > _SHORTEST_SECRET else text
        return text

    def of(self, path: str) -> str:
        """The address of one of its pages; with `/` before it, of one beside the API's version."""
        base = self.url.removesuffix("/v1") if path.startswith("/") else self.url
        return f"{base}/{path.removeprefix('/')}{self.query}"


def endpoint_of(
    url: str,
    *,
    key_env: str | None = None,
    headers: Mapping[str, str] | None = None,
    api_version: str | None = None,
) -> Endpoint:
    """The server at `url`, with its key. A header's value that begins with `$` names an environment
    variable. Raises InputError for what is no URL, a variable that is not set, and a key or header
    that cannot be sent."""
    parts = _parts(url)
    carried = {name: _header(name, value) for name, value in (headers or {}).items()}
    named = {name.lower() for name in carried}
    if parts.username is not None and "authorization" not in named:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        carried["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    elif (name := key_sent_to(url, key_env=key_env, headers=carried)) is not None:
        key = _sendable(from_environment(name, _SET), f"${name}")
        carried["Authorization"] = f"Bearer {key}"
    bare = _bare(parts)
    query = parts.query + ("&" if parts.query and api_version else "")
    query += urlencode({"api-version": api_version}) if api_version else ""
    return Endpoint(bare, carried, f"?{query}" if query else "")


def key_sent_to(url: str, *, key_env: str | None = None, headers: Iterable[str] = ()) -> str | None:
    """The environment variable whose value the server at `url` gets as its key: none where the URL has
    a user or one of the `headers` (by name) stands in its place; OpenAI's where none is named, it is
    set, and the server is that one's. What is no URL gets none but the one that is named."""
    if not _IN_PLACE_OF_KEY.isdisjoint(name.lower() for name in headers):
        return None
    try:
        parts = urlsplit(url.rstrip("/"))
        if parts.username is not None:
            return None
        if key_env is None and in_environment(_DEFAULT_KEY) and _is_openai(parts):
            return _DEFAULT_KEY
    except ValueError:  # the port is not a number
        pass
    return key_env


def without_password(text: str) -> str:
    """A spec or URL as it may be shown: `http://***@host`, and header values only where they name an
    environment variable."""
    return _HEADERS.sub(_hidden, _USER.sub("://***@", text))


def _hidden(headers: re.Match[str]) -> str:
    try:
        found = parse_json(unquote_plus(headers[2]))
        shown = {name: value if _is_name(value) else "***" for name, value in found.items()}
    except (NotJson, AttributeError):
        return headers[1] + "***"
    return headers[1] + json.dumps(shown, separators=(",", ":"))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.startswith("$")


def _parts(url: str) -> SplitResult:
    problem, form = "is not the URL of a server", "write http://HOST:PORT/v1"
    shown = without_password(url) or "server"
    try:
        parts = urlsplit(url.rstrip("/"))
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # the port is not a number
        raise InputError(Problem(shown, problem, form)) from error
    if not good:
        raise InputError(Problem(shown, problem, form))
    return parts


def _bare(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _is_openai(parts: SplitResult) -> bool:
    """Whether it is OpenAI's own server, or the one that the environment names in its place."""
    try:
        named = urlsplit(os.environ.get("OPENAI_BASE_URL") or _OPENAI)
        if (parts.scheme, parts.hostname, parts.port) == (named.scheme, named.hostname, named.port):
            return True
    except ValueError:  # the port is not a number
        pass
    return (parts.scheme, parts.hostname, parts.port or 443) == ("https", "api.openai.com", 443)


def _header(name: str, value: str) -> str:
    if not name or not all(char.isalnum() or char in "-_" for char in name) or not name.isascii():
        raise InputError(Problem("headers", f"{name!r} is not the name of a header"))
    if value.startswith("$"):
        value = from_environment(value[1:], _SET)
    return _sendable(value, f"the header {name}")


def _sendable(secret: str, where: str) -> str:
    """Raises InputError, without the secret, where no HTTP header can hold it."""
    for at, char in enumerate(secret, 1):
        if not " " <= char <= "~":
            what = f"has a character at position {at} that no HTTP header can hold"
            raise InputError(Problem(where, what, "copy the key again, without line ends"))
    return secret
