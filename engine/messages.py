"""Messages and conversations: immutable, so that a turn can only be added, never altered."""

from dataclasses import dataclass, field
from typing import Literal

from constitution.reading import without_surrogates

__all__ = [
    "Conversation",
    "Message",
    "Role",
    "TokenIds",
    "assistant",
    "to_dicts",
    "without_surrogates",
]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The very tokens a model generated, without its end token, and whose tokenizer made them."""

    tokenizer: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tokens` lets the next prompt repeat a generated turn exactly.

    Sampled text is often not tokenized back into the tokens that were sampled, and the KV cache
    only serves exact repeats; equality and hashing see the text alone.
    """

    role: Role
    content: str
    tokens: TokenIds | None = field(default=None, compare=False, repr=False)


Conversation = tuple[Message, ...]


def to_dicts(conversation: Conversation) -> list[dict[str, str]]:
    """The conversation as chat templates, OpenAI servers and TRL want it."""
    return [{"role": message.role, "content": message.content} for message in conversation]


def assistant(answer: str) -> list[dict[str, str]]:
    """An answer as TRL wants it: the turns that follow a prompt."""
    return [{"role": "assistant", "content": answer}]
