"""Any OpenAI-compatible server as a generator: `server:MODEL@http://host:8000/v1[,URL...]`.

The server renders the chat template, so prompts travel as text: control tokens are neutralised by
their well-known spellings, and prefixes are exact only as far as the server's own tokenizer goes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from constitution.reading import NotJson, parse_json
from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    GeneratorUnavailable,
    Request,
    Score,
    split_answer,
)
from engine.generators.chat_template import common_prefix
from engine.generators.control_tokens import GENERAL, Neutraliser
from engine.generators.facts import JUDGES_QUESTION, ModelFacts
from engine.generators.in_flight import conversation_in_flight
from engine.generators.reasoning import split_reasoning
from engine.generators.servers.asked import Asked
from engine.generators.servers.dialect import Dialect
from engine.generators.servers.endpoint import endpoint_of, without_password
from engine.generators.servers.error_body import Answered
from engine.generators.servers.pool import Options, ServerPool
from engine.generators.servers.response import Answer, parse_answers, parse_prompt_logprobs
from engine.generators.servers.token_prompts import TokenPrompts
from engine.generators.servers.verdicts import VerdictAsker
from engine.messages import Conversation, Message

__all__ = ["ServerGenerator"]

Told = TypeVar("Told", int, str)

_PREFLIGHT_RETRIES = 2
_PREFLIGHT_TOKENS = 16
_SHARED_INSTRUCTION = "Answer in one word."


class ServerGenerator:
    """A model behind one or several servers, which are asked as `options` and `asked` say.

    `key_env` names the environment variable with their key. Raises InputError for what is not a URL,
    a key that cannot be sent and, at `start`, if the client library is missing.
    """

    def __init__(
        self,
        model: str,
        urls: tuple[str, ...],
        *,
        options: Options | None = None,
        asked: Asked | None = None,
        key_env: str | None = None,
        headers: Mapping[str, str] | None = None,
        api_version: str | None = None,
        spec: str | None = None,
    ) -> None:
        options, asked = options or Options(), asked or Asked()
        endpoints = tuple(
            endpoint_of(url, key_env=key_env, headers=headers, api_version=api_version)
            for url in urls
        )
        self.spec = without_password(
            spec or f"server:{model}@{','.join(url.rstrip('/') for url in urls)}"
        )
        # Of the model's name alone: a server does not say which weights it serves.
        identity = json.dumps(["server", model, *asked.identity])
        self.fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self.capacity = Capacity(sequences=options.concurrency * len(urls))
        self._model = model
        self._dialect = Dialect(
            renamed=dict(asked.renamed),
            omitted=set(asked.omitted),
            extra=asked.extra,
            seed_bits=asked.seed_bits,
            folds_system=asked.fold_system,
        )
        budget = asked.thinking if not isinstance(asked.thinking, bool) else None
        self._verdicts = VerdictAsker(asked.samples, budget)
        self._pool = ServerPool(endpoints, options, self._dialect, model)
        self._neutraliser = Neutraliser(GENERAL)
        self._tokens: TokenPrompts | None = None
        """Where the server takes and returns tokens, as the preflight finds."""

    async def start(self) -> None:
        self._pool.start()

    async def close(self) -> None:
        await self._pool.close()

    async def generate(self, request: Request) -> Completion:
        answer = await self._answer(request)
        reasoning = answer.reasoning
        tokens = None
        if self._tokens is not None:
            tokens = self._tokens.sampled(answer.token_ids, ended=answer.finish_reason == "stop")
        return Completion(
            text=self._neutraliser.restore(answer.text),
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            cached_tokens=answer.cached_tokens,
            completion_tokens=answer.completion_tokens,
            tokens=tokens,
            reasoning=None if reasoning is None else self._neutraliser.restore(reasoning),
        )

    async def _answer(self, request: Request) -> Answer:
        """By tokens where turns have them and the server takes them, else by text."""
        fields = self._fields(request)
        if self._tokens is None:
            return (await self._ask(fields, request.messages))[0]
        fields["return_token_ids"] = True
        neutral = self._neutraliser.neutralise_messages(request.messages)
        try:
            prompt = await self._tokens.prompt(neutral)
        except (GenerationError, GeneratorUnavailable):
            prompt = None
        if prompt is None:
            answer = (await self._ask(fields, request.messages))[0]
            if not self._dialect.folds_system:  # else the server was sent other messages
                self._tokens.sent(neutral, answer.prompt_token_ids)
            return answer
        del fields["messages"]
        body = {"model": self._model, "prompt": prompt, **fields}
        affinity = _affinity(request.messages)
        return (await self._pool.ask(body, affinity, parse_answers, path="completions"))[0]

    async def _post_root(self, page: str, fields: Mapping[str, Any]) -> str:
        """Of vLLM's pages beside the API, which are not OpenAI's."""
        body = {"model": self._model, **fields}
        return await self._pool.ask(body, "", str, path=f"/{page}")

    def _fields(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        fields: dict[str, Any] = {
            "messages": request.messages,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
        }
        if sampling.min_tokens > 0:  # OpenAI's own API knows no such field
            fields["min_tokens"] = sampling.min_tokens
        return fields

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        ask = partial(self._ask, affinity=messages)
        return await self._verdicts.choose(ask, messages, choices)

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

    async def preflight(self, *, writes: bool, judges: bool) -> ModelFacts:
        """Ask once for what the model is there for, learn how it wants to be asked, and say what
        was found. Raises GeneratorUnavailable where it cannot do that."""
        wrote: Answer | None = None
        choice: Choice | None = None
        lists = await self._pool.models()
        by_vllm = self._listed(lists, "owned_by", kind=str) == "vllm"
        try:
            for server in range(len(self._pool)):
                self._pool.only = server
                wrote = await self._preflight_answer(by_vllm=by_vllm) if writes else None
                choice = await self._preflight_choice() if judges else None
            self._pool.only = None
            await self._find_tokens(wrote)
        except GenerationError as error:
            message = f"{self.spec}: {error}"
            raise GeneratorUnavailable(message) from error
        finally:
            self._pool.only = None
        if judges and not self._verdicts.settled:
            raise GeneratorUnavailable(f"{self.spec} {self._verdicts.why_not(choice)}")
        return ModelFacts(
            spec=self.spec,
            context=self._listed(lists, *_CONTEXT_NAMES, kind=int),
            reasons=self._verdicts.method.thinks or bool(wrote and _thought(wrote)),
            system="folded" if self._dialect.folds_system else "first",
            verdicts=str(self._verdicts.method) if judges else None,
            notes=tuple(self._dialect.notes),
        )

    async def _preflight_answer(self, *, by_vllm: bool) -> Answer:
        """With a system turn, and with every field that a run sends; vLLM's own server returns tokens."""
        messages = (
            Message("system", _SHARED_INSTRUCTION),
            Message("user", "What is the capital of France?"),
        )
        fields = {
            "messages": messages,
            "max_tokens": _PREFLIGHT_TOKENS,
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 2**32 - 1,
        }
        if by_vllm:
            fields["return_token_ids"] = True
        return (await self._ask(fields, messages, retries=_PREFLIGHT_RETRIES))[0]

    async def _find_tokens(self, wrote: Answer | None) -> None:
        """Carry tokens from turn to turn where the server returned some, and takes them."""
        if wrote is None or wrote.token_ids is None:
            return
        tokens = TokenPrompts(self._post_root, f"server:{self.fingerprint}")
        try:
            await tokens.check()
        except (GenerationError, GeneratorUnavailable):  # a proxy may pass on the API alone
            return
        self._tokens = tokens
        self._dialect.note("takes and returns tokens: prompts repeat what was sampled exactly")

    async def _preflight_choice(self) -> Choice:
        ask = partial(self._ask, affinity=JUDGES_QUESTION, retries=_PREFLIGHT_RETRIES)
        return await self._verdicts.choose(ask, JUDGES_QUESTION, ("Yes", "No"))

    def _listed(self, lists: Iterable[Answered], *names: str, kind: type[Told]) -> Told | None:
        """What the servers' lists of models tell of this one, if they do."""
        for answered in lists:
            try:
                listed = parse_json(answered.text).get("data") or []
                rows = [row for row in listed if row.get("id") == self._model]
                found = [row.get(name) for row in rows for name in names]
            except (NotJson, AttributeError, TypeError):
                continue
            if known := [value for value in found if type(value) is kind and value]:
                return known[0]
        return None

    async def _prompt_logprobs(self, messages: Conversation) -> list[tuple[str, float]]:
        fields = {"messages": messages, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0}
        body = self._body(fields)
        found = await self._pool.ask(body, _affinity(messages), parse_prompt_logprobs)
        if found is None:
            message = (
                "the server gives no log-probabilities of prompts; score with vLLM's own server"
            )
            raise GenerationError(FailureReason.REJECTED, message)
        return found

    async def _ask(
        self, fields: Mapping[str, Any], affinity: Conversation, *, retries: int | None = None
    ) -> list[Answer]:
        body = self._body(fields)
        return await self._pool.ask(body, _affinity(affinity), parse_answers, retries=retries)

    def _body(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What every request says; a last turn of the assistant's is to be continued."""
        messages: Conversation = fields["messages"]
        neutral = self._neutraliser.neutralise_messages(messages)
        body = {"model": self._model, **fields, "messages": neutral}
        if messages[-1].role == "assistant":
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        return body


_CONTEXT_NAMES = (
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "n_ctx",
)


def _thought(answer: Answer) -> bool:
    return bool(answer.reasoning) or split_reasoning(answer.text)[1] is not None


def _affinity(messages: Conversation) -> str:
    """What requests of one conversation share and others do not: the first user turn of its messages,
    where nobody says which conversation it is."""
    if conversation := conversation_in_flight():
        return conversation.key
    return next((message.content for message in messages if message.role == "user"), "")
