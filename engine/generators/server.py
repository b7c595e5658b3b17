"""Any OpenAI-compatible server as a generator: `server:MODEL@http://host:8000/v1[,URL...]`.

The server renders the chat template, so prompts travel as text: control tokens are neutralised by
their well-known spellings, and prefixes are exact only as far as the server's own tokenizer goes.
"""

import hashlib
import json
import math
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from constitution.problems import InputError, Problem
from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    Request,
    Score,
    split_answer,
)
from engine.generators.chat_template import common_prefix
from engine.generators.control_tokens import Neutraliser
from engine.generators.server_pool import ServerPool, TransientError
from engine.messages import Conversation, to_dicts

__all__ = ["ServerGenerator"]

_CONTROL_TOKENS = (
    ("<", r"\|[^|<>\s]{1,64}\|>"),
    (r"\[", r"/?INST\]"),
    ("<", r"/?s>"),
    ("<", r"(?:start|end)_of_turn>"),
    ("<", r"</?SYS>>"),
)
_MOST_TOKENS = 2**31 - 1
_TOP_LOGPROBS = 20
"""The most that OpenAI allows, and vLLM's default limit."""


class ServerGenerator:
    """A model behind one or several servers. Options as of ServerPool.

    Raises InputError for what is not a URL and, at `start`, if the client library is missing.
    """

    def __init__(
        self,
        model: str,
        urls: tuple[str, ...],
        *,
        timeout: float = 120.0,
        retries: int = 8,
        backoff: float = 0.5,
        concurrency: int = 256,
        spec: str | None = None,
    ) -> None:
        self._model = model
        self._urls = tuple(url.rstrip("/") for url in urls)
        problem, form = "is not the URL of a server", "write http://HOST:PORT/v1"
        if wrong := [url for url in self._urls if not _is_url(url)]:
            raise InputError(Problem(url or "server", problem, form) for url in wrong)
        self.spec = spec or f"server:{model}@{','.join(self._urls)}"
        # Of the model's name alone: a server does not say which weights it serves.
        identity = json.dumps(["server", model])
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.capacity = Capacity(sequences=concurrency * len(self._urls))
        self._pool = ServerPool(
            self._urls, timeout=timeout, retries=retries, backoff=backoff, concurrency=concurrency
        )
        self._neutraliser = Neutraliser(_CONTROL_TOKENS)

    async def start(self) -> None:
        self._pool.start()

    async def close(self) -> None:
        await self._pool.close()

    async def generate(self, request: Request) -> Completion:
        sampling = request.sampling
        body = self._body(request.messages) | {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
        }
        if sampling.min_tokens > 0:  # OpenAI's own API knows no such field
            body["extra_body"] = body.get("extra_body", {}) | {"min_tokens": sampling.min_tokens}
        return await self._pool.ask(body, _affinity(request.messages), self._completion)

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        body = self._body(messages) | {
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": _TOP_LOGPROBS,
        }
        return await self._pool.ask(body, _affinity(messages), lambda text: _choice(text, choices))

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """From vLLM's `prompt_logprobs`; REJECTED where the server has no such thing.

        The server's tokens of the text are scored. They begin where the prompt with the answer
        and the prompt without it part, since a server does not say where a turn begins.
        """
        context, answer = split_answer(messages)
        before = [token for token, _ in await self._prompt_logprobs(context)]
        if not answer.content:
            return Score((), len(before))
        scored = await self._prompt_logprobs(messages)
        start = common_prefix(before, [token for token, _ in scored])
        return Score(tuple(logprob for _, logprob in scored[start:]), start)

    async def _prompt_logprobs(self, messages: Conversation) -> list[tuple[str, float]]:
        """Each token of the rendered prompt, by its id, and its log-probability (the first 0)."""
        body = self._body(messages)
        body["extra_body"] = body.get("extra_body", {}) | {"prompt_logprobs": 0}
        body |= {"max_tokens": 1, "temperature": 0.0}
        return await self._pool.ask(body, _affinity(messages), _scored_prompt)

    def _body(self, messages: Conversation) -> dict[str, Any]:
        """What every request says; a last turn of the assistant's is to be continued."""
        neutral = self._neutraliser.neutralise_messages(messages)
        body: dict[str, Any] = {"model": self._model, "messages": to_dicts(neutral)}
        if messages[-1].role == "assistant":
            body["extra_body"] = {"add_generation_prompt": False, "continue_final_message": True}
        return body

    def _completion(self, text: str) -> Completion:
        response = _parse(text)
        choice = response.choices[0]
        if choice.finish_reason == "content_filter":
            raise GenerationError(FailureReason.REJECTED, "the server filtered the answer")
        if choice.message.content is None or choice.finish_reason is None:
            raise _bad("it has no content or no finish reason", text)
        return Completion(
            text=self._neutraliser.restore(choice.message.content),
            finish_reason=choice.finish_reason,
            prompt_tokens=response.usage.prompt_tokens,
            cached_tokens=response.usage.prompt_tokens_details.cached_tokens,
            completion_tokens=response.usage.completion_tokens,
        )


class _Message(BaseModel):
    content: str | None = None


class _Scored(BaseModel):
    logprob: Annotated[float, Field(le=1e-3, allow_inf_nan=False)]


class _Token(_Scored):
    token: str


class _Position(BaseModel):
    top_logprobs: Annotated[list[_Token], Field(min_length=1)]


class _Logprobs(BaseModel):
    content: Annotated[list[_Position], Field(min_length=1)]


class _Choice(BaseModel):
    message: _Message
    finish_reason: Literal["stop", "length", "content_filter"] | None = None
    logprobs: _Logprobs | None = None


def _mapping(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


_Count = Annotated[
    int,
    BeforeValidator(lambda n: min(max(n, 0), _MOST_TOKENS) if type(n) is int else 0),
]
"""A number of tokens within what is stored of it; 0 for anything else: it is not worth a run."""


class _Cached(BaseModel):
    cached_tokens: _Count = 0


class _Usage(BaseModel):
    prompt_tokens: _Count = 0
    completion_tokens: _Count = 0
    prompt_tokens_details: Annotated[_Cached, BeforeValidator(_mapping)] = _Cached()


class _Response(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Annotated[_Usage, BeforeValidator(_mapping)] = _Usage()
    prompt_logprobs: list[dict[str, _Scored] | None] | None = None


def _parse(text: str) -> _Response:
    try:
        return _Response.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "it"
        raise _bad(f"{place}: {first['msg']}", text) from error


def _choice(text: str, choices: tuple[str, ...]) -> Choice:
    response = _parse(text)
    logprobs = response.choices[0].logprobs
    if logprobs is None:
        raise _bad("it has no log-probabilities", text)
    masses = [0.0] * len(choices)
    names = [choice.casefold() for choice in choices]
    for top in logprobs.content[0].top_logprobs:
        said = top.token.strip().casefold()
        if said in names:
            masses[names.index(said)] += math.exp(top.logprob)
    return Choice.of_masses(
        masses, response.usage.prompt_tokens, response.usage.prompt_tokens_details.cached_tokens
    )


def _scored_prompt(text: str) -> list[tuple[str, float]]:
    found = _parse(text).prompt_logprobs
    if found is None:
        message = "the server gives no log-probabilities of prompts; score with vLLM's own server"
        raise GenerationError(FailureReason.REJECTED, message)
    # vLLM puts the prompt's own token first; nothing predicts the first one.
    firsts = [next(iter(at.items()), None) if at else None for at in found]
    return [(first[0], first[1].logprob) if first else ("", 0.0) for first in firsts]


def _bad(what: str, text: str) -> TransientError:
    return TransientError(FailureReason.BAD_RESPONSE, f"bad response: {what} in {text[:200]!r}")


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number
        return False


def _affinity(messages: Conversation) -> str:
    """What the turns of one conversation share and conversations do not: its first user turn."""
    return next((message.content for message in messages if message.role == "user"), "")
