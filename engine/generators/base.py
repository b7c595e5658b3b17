"""The one Protocol every model stands behind, and what passes through it."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, Self

from pydantic import Field, model_validator

from constitution.problems import Stopped
from constitution.typed_yaml import Settings
from engine.messages import Conversation, Message, TokenIds, without_surrogates

__all__ = [
    "Capacity",
    "Choice",
    "Completion",
    "FailureReason",
    "GenerationError",
    "Generator",
    "GeneratorUnavailable",
    "Request",
    "Sampling",
    "Score",
    "split_answer",
    "started",
]


class Sampling(Settings):
    """How to draw a completion. `max_tokens` and `min_tokens` count generated tokens."""

    max_tokens: int = Field(default=512, ge=1, description="Longest completion, in tokens.")
    temperature: float = Field(default=0.7, ge=0, description="0 is greedy.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus sampling.")
    min_tokens: int = Field(default=0, ge=0, description="Shortest completion, in tokens.")

    @model_validator(mode="after")
    def _shortest_is_no_longer_than_longest(self) -> Self:
        if self.min_tokens > self.max_tokens:
            what = f"min_tokens {self.min_tokens} is more than max_tokens {self.max_tokens}"
            raise ValueError(what)
        return self

    def bounded(self, most: int) -> "Sampling":
        """With `most` as `max_tokens`, and `min_tokens` no greater."""
        least = min(self.min_tokens, most)
        return self.model_copy(update={"max_tokens": most, "min_tokens": least})


_LONGEST_MESSAGE = 500
"""Characters kept of an error's message."""


@dataclass(frozen=True, slots=True)
class Request:
    """One completion to generate; lower `priority` goes first.

    `messages` ends with a user turn, which is answered, or with an assistant's that is continued:
    the completion is then what was added to it.
    `on_text` is called with the text so far, as often as it grows, by adapters that stream.
    """

    messages: Conversation
    sampling: Sampling
    seed: int
    priority: int = 0
    on_text: Callable[[str], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated assistant turn. Counts are tokens; `cached_tokens` came from a KV cache.

    `reasoning` is what came apart from the text, where the model or its server tells them apart.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    tokens: TokenIds | None = None
    reasoning: str | None = None

    @property
    def message(self) -> Message:
        """The completion as the next turn of its conversation."""
        return Message("assistant", self.text, self.tokens)


@dataclass(frozen=True, slots=True)
class Choice:
    """Probabilities of the offered short answers, in the order offered, summing to 1.

    `mass` is the probability, before normalising, that the model gives any of them at all: near 0
    means that it answered something else, and the probabilities say little.
    """

    probabilities: tuple[float, ...]
    mass: float
    prompt_tokens: int = 0
    cached_tokens: int = 0
    samples: int = 0
    """How many answers were sampled to tell the probabilities; 0: they are log-probabilities'."""

    @classmethod
    def of_masses(
        cls, masses: Sequence[float], prompt_tokens: int, cached_tokens: int, samples: int = 0
    ) -> "Choice":
        """From each answer's probability before normalising; all alike where none has any."""
        mass = sum(masses)
        uniform = (1 / len(masses),) * len(masses)
        probabilities = tuple(part / mass for part in masses) if mass > 0 else uniform
        return cls(probabilities, min(mass, 1.0), prompt_tokens, cached_tokens, samples)


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a model finds an answer.

    `logprobs` are natural logarithms of the probability of each of its tokens given all before,
    without the end of the turn; `prompt_tokens` are the tokens that came before it.
    """

    logprobs: tuple[float, ...]
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What an engine can hold at once; None is unknown or unbounded."""

    kv_tokens: int | None = None
    """Tokens of KV cache over all running sequences."""
    sequences: int | None = None
    """Sequences decoded at once."""


class FailureReason(StrEnum):
    """Why a request has no completion."""

    CONTEXT_OVERFLOW = "context_overflow"
    CONTENT_FILTER = "content_filter"
    TEMPLATE_ERROR = "template_error"
    REJECTED = "rejected"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    BAD_RESPONSE = "bad_response"


class GenerationError(Exception):
    """This request failed, others may not: the conversation is recorded as failed."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        self.reason = reason
        super().__init__(_brief(message))

    @property
    def retryable(self) -> bool:
        """Whether resuming the run may succeed where this failed."""
        transient = (FailureReason.SERVER_ERROR, FailureReason.TIMEOUT, FailureReason.BAD_RESPONSE)
        return self.reason in transient


class GeneratorUnavailable(Stopped):
    """The engine or every server is gone: the run stops, resumable, with this message."""

    def __init__(self, message: str) -> None:
        super().__init__(_brief(message))


def _brief(message: str) -> str:
    """What is kept of an error's message: a server may send megabytes."""
    brief = message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}…"
    return without_surrogates(brief)


class Generator(Protocol):
    """A model that answers. Calls are concurrent; batching is the engine's own business.

    `start` is idempotent and is called before the first request; until then nothing heavy is
    imported or loaded. `fingerprint` is known without starting.
    """

    @property
    def spec(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Identity of the weights, tokenizer, chat template and anything else that moves answers."""

    @property
    def capacity(self) -> Capacity:
        """One object for all generators that share an engine."""

    async def start(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        """Raises GenerationError for this request, GeneratorUnavailable for all of them."""

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """Probability of each choice as the next assistant turn. Raises as `generate` does."""

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """Log-probabilities of the last turn, which is the assistant's, after those before it.

        Its tokens are the message's own where the model knows them, else those of its text.
        Raises as `generate` does, and ValueError if the last turn is not the assistant's.
        """

    async def close(self) -> None: ...


@asynccontextmanager
async def started(generators: Iterable[Generator]) -> AsyncIterator[None]:
    """The block runs with every generator started, and all are closed after it."""
    generators = tuple(generators)
    try:
        for generator in generators:
            await generator.start()
        yield
    finally:
        for generator in generators:
            await generator.close()


def split_answer(messages: Conversation) -> tuple[Conversation, Message]:
    """What came before the assistant's last turn, and that turn. Raises ValueError without one."""
    if not messages or messages[-1].role != "assistant":
        raise ValueError("a conversation to score must end with an assistant's turn")
    return messages[:-1], messages[-1]
