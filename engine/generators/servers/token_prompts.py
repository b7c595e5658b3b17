"""Prompts as tokens, for servers that take and return them: vLLM's own.

A turn that a model sampled is often not tokenized back into the tokens it was sampled as, and the
server's KV cache serves only exact repeats. So the next prompt is tokenized by the server, as it
would be, and the sampled tokens are put in the place of those that stand for the same text.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from constitution.reading import NotJson, parse_json
from engine.generators.servers.errors import bad_response
from engine.messages import Conversation, Message, TokenIds

__all__ = ["TokenPrompts"]

Post = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""Post a body to a page of the server's root, and have its text."""

_KEPT = 4096
"""Prompts whose tokens are remembered: the next turn of a conversation begins with one."""


class TokenPrompts:
    """The tokens of prompts to one model. `tokenizer` names it: turns of other models have tokens
    that mean something else."""

    def __init__(self, post: Post, tokenizer: str) -> None:
        self._post = post
        self._tokenizer = tokenizer
        self._ends: set[int] = set()
        """Tokens that have ended an answer."""
        self._known: OrderedDict[Conversation, list[int]] = OrderedDict()
        self._spelled: OrderedDict[tuple[int, ...], str] = OrderedDict()

    async def check(self) -> None:
        """Raises GenerationError where the server does not tokenize."""
        tokens = await self._tokens((Message("user", "Hello."),))
        await self._post("detokenize", {"tokens": tokens[:1]})

    def sampled(self, ids: tuple[int, ...] | None, *, ended: bool) -> TokenIds | None:
        """What of an answer's tokens the next prompt may repeat: without its end."""
        if not ids:
            return None
        if ended:
            self._ends.add(ids[-1])
        kept = ids[:-1] if ids[-1] in self._ends else ids
        return TokenIds(self._tokenizer, kept)

    def sent(self, messages: Conversation, ids: tuple[int, ...] | None) -> None:
        """Note the tokens that the server made of a prompt of text: the next turn asks for them."""
        if ids and messages[-1].role != "assistant":
            self._known[_as_text(messages)] = list(ids)
            _forget(self._known)

    async def prompt(self, messages: Conversation) -> list[int] | None:
        """The prompt's tokens with sampled turns verbatim; None where no turn has any, or where they
        cannot be placed: it is then sent as text. Raises GenerationError as the server does."""
        turns = [at for at, turn in enumerate(messages) if self._is_ours(turn)]
        if not turns or messages[-1].role == "assistant":
            return None
        whole = await self._tokens(messages)
        ids: list[int] = []
        position = 0
        for at in turns:
            placed = await self._place(messages, at, whole)
            if placed is None or placed[0] < position:
                continue
            start, end = placed
            sampled = messages[at].tokens
            ids += [*whole[position:start], *(sampled.ids if sampled else ())]
            position = end
        return [*ids, *whole[position:]] if position else None

    def _is_ours(self, turn: Message) -> bool:
        return turn.tokens is not None and turn.tokens.tokenizer == self._tokenizer

    async def _place(
        self, messages: Conversation, at: int, whole: list[int]
    ) -> tuple[int, int] | None:
        """Where the tokens of a turn stand in the whole prompt, up to the end of the turn."""
        turn = messages[at]
        if turn.tokens is None or not await self._spells(turn.tokens.ids, turn.content):
            return None
        before = await self._tokens(messages[:at])
        start = len(before)
        if whole[:start] != before:
            return None
        end = next((n for n in range(start, len(whole)) if whole[n] in self._ends), None)
        if end is None:
            return None
        spelled = tuple(whole[start:end])
        if spelled != turn.tokens.ids and not await self._spells(spelled, turn.content):
            return None  # what ended an answer may be a stop word, which texts hold as well
        return start, end

    async def _spells(self, ids: tuple[int, ...], content: str) -> bool:
        """Whether the tokens say what the turn says, and so no control token is among them."""
        if ids not in self._spelled:
            text = await self._post("detokenize", {"tokens": list(ids)})
            self._spelled[ids] = str(_field(text, "prompt", str))
            _forget(self._spelled)
        return self._spelled[ids].strip() == content.strip()

    async def _tokens(self, messages: Conversation) -> list[int]:
        """As the server tokenizes the prompt of the next turn."""
        key = _as_text(messages)
        if key not in self._known:
            text = await self._post("tokenize", {"messages": key, "add_generation_prompt": True})
            self._known[key] = _field(text, "tokens", list)
            _forget(self._known)
        return self._known[key]


def _as_text(messages: Conversation) -> Conversation:
    return tuple(Message(turn.role, turn.content) for turn in messages)


def _forget(kept: "OrderedDict[Any, Any]") -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def _field(text: str, name: str, kind: type) -> Any:
    try:
        found = parse_json(text)[name]
    except (NotJson, KeyError, TypeError) as error:
        raise bad_response(f"it has no `{name}`", text) from error
    if not isinstance(found, kind):
        raise bad_response(f"`{name}` is no {kind.__name__}", text)
    return found
