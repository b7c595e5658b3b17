"""JSON from a server that is asked a question now and then; models are asked over
`engine.generators.servers.transport`."""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.request import HTTPRedirectHandler, Request, build_opener

from constitution.reading import NotJson, parse_json

__all__ = ["fetched_json"]

_LARGEST = 1 << 20
"""Bytes that are read of an answer."""


class _Staying(HTTPRedirectHandler):
    """Follows no redirection: what the headers hold is for the server that was named."""

    def redirect_request(self, *moved: Any) -> None:
        """Nowhere, so that the status is the answer."""


def fetched_json(url: str, *, headers: Mapping[str, str], seconds: float, body: Any = None) -> Any:
    """What is answered to a GET or, with a `body` that JSON can hold, a POST, within `seconds` of
    silence.

    Raises urllib's HTTPError, an OSError, for another status than success and for a redirection;
    OSError where nobody answers in HTTP; NotJson for what is no JSON or longer than a mebibyte;
    ValueError for what is no URL.
    """
    json_type = {} if body is None else {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    asked = Request(url, data, {**json_type, **headers})
    try:
        with build_opener(_Staying).open(asked, timeout=seconds) as answer:
            read: bytes = answer.read(_LARGEST + 1)
    except http.client.HTTPException as error:
        raise OSError(f"it does not speak HTTP: {error!r}") from error
    if len(read) > _LARGEST:
        raise NotJson(f"is longer than {_LARGEST:,} bytes")
    return parse_json(read)
