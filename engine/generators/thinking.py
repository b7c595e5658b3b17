"""Models in process that think before they answer: how they are told to, and for how long.

A thought that reaches its budget is closed, and the model goes on with its answer (Muennighoff et al.
2025, arXiv 2501.19393, on budget forcing). That takes no more than prompts of token ids, so that it is
the same for every engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypedDict

from constitution.problems import InputError, Problem
from engine.generators.base import Completion, Request
from engine.generators.chat_template import ChatEncoder

__all__ = ["Masses", "Sampled", "Thinking", "ThinkingOptions", "TokenModel", "complete"]

_EFFORTS = ("low", "medium", "high")


class ThinkingOptions(TypedDict, total=False):
    """Options of a spec, as `read_spec` reads them."""

    thinking: Any
    reasoning_effort: Any


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a spec says of thinking: nothing, off, on, or at most `budget` tokens, and how hard."""

    on: bool | None = None
    budget: int | None = None
    effort: str | None = None

    @classmethod
    def of_options(
        cls, spec: str, thinking: Any = None, reasoning_effort: Any = None
    ) -> "Thinking":
        """From the options `thinking=off|on|N` and `reasoning_effort=low|medium|high`. Raises InputError for anything else."""
        if reasoning_effort not in (None, *_EFFORTS):
            remedy = f"write {', '.join(_EFFORTS[:-1])} or {_EFFORTS[-1]}"
            raise _refused(spec, "reasoning_effort", reasoning_effort, remedy)
        if isinstance(thinking, bool) or thinking in (None, "on", "off"):
            on = None if thinking is None else thinking in (True, "on")
            return cls(on, effort=reasoning_effort)
        if isinstance(thinking, int) and thinking > 0:
            return cls(True, thinking, reasoning_effort)
        raise _refused(spec, "thinking", thinking, "write off, on or the most tokens of a thought")

    @property
    def identity(self) -> dict[str, object]:
        """What of it belongs into a fingerprint: nothing where nothing was said."""
        said = {"thinking": self.budget or self.on, "reasoning_effort": self.effort}
        return {name: value for name, value in said.items() if value is not None}

    @property
    def template_arguments(self) -> dict[str, object]:
        """For chat templates, each of which reads the names it knows."""
        arguments: dict[str, object] = {}
        if self.on is not None:
            arguments |= dict.fromkeys(("enable_thinking", "thinking", "reasoning"), self.on)
        if self.effort:
            arguments |= {"reasoning_effort": self.effort, "reasoning_strength": self.effort}
            arguments[f"{self.effort}_effort"] = True
        return arguments


def _refused(spec: str, name: str, value: object, remedy: str) -> InputError:
    return InputError(Problem(spec, f"`{name}={value}` cannot be", remedy))


@dataclass(frozen=True, slots=True)
class Sampled:
    """Generated token ids, their end token left out or not if it is special. `tokens` counts it too;
    `text` is theirs if the engine decodes, without special tokens."""

    ids: Sequence[int]
    stopped: bool
    tokens: int
    cached_tokens: int = 0
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Masses:
    """The probability that the next token is one of each group."""

    values: Sequence[float]
    cached_tokens: int = 0


class TokenModel(Protocol):
    """A model in process, which takes prompts as token ids. Both raise as a Generator does."""

    async def sample(self, prompt: list[int], request: Request) -> Sampled:
        """What follows `prompt`, by the request's sampling, seed and priority, cut where the context
        ends; the request's messages are not looked at."""

    async def masses(
        self, prompt: list[int], candidates: tuple[tuple[int, ...], ...], priority: int
    ) -> Masses:
        """Of each group of candidates."""


async def complete(
    model: TokenModel, encoder: ChatEncoder, request: Request, budget: int | None
) -> Completion:
    """A completion, its thought kept within `budget` tokens if there is one, and besides the tokens
    that the request's sampling allows. Raises as `encode` and the model do."""
    prompt = encoder.encode(request.messages)
    last = request.messages[-1]
    begun = encoder.encode_answer(last) if last.role == "assistant" else []
    if budget is None:
        sampled = await model.sample(prompt, request)
    else:
        sampled = await _within_budget(model, encoder, prompt, request, budget)
    decoded = encoder.read(prompt, begun, sampled.ids, sampled.text)
    return Completion(
        text=decoded.text,
        finish_reason="stop" if sampled.stopped else "length",
        prompt_tokens=len(prompt),
        cached_tokens=sampled.cached_tokens,
        completion_tokens=sampled.tokens,
        tokens=encoder.generated_tokens(sampled.ids),
        reasoning=decoded.reasoning,
    )


async def _within_budget(
    model: TokenModel, encoder: ChatEncoder, prompt: list[int], request: Request, budget: int
) -> Sampled:
    """First at most `budget` tokens; then, the thought closed if it is still open, the answer."""
    first = await model.sample(prompt, _limited(request, budget))
    ids, left = list(first.ids), request.sampling.max_tokens
    start = encoder.answer_start(prompt, ids)
    closing = encoder.closing(prompt, ids) if start is None else None
    if closing is None:
        left -= len(ids) - (start or 0)
        if left < 0:
            return replace(first, ids=ids[:left], stopped=False, text=None)
    ids += closing or ()
    if first.stopped or not left or len(prompt) + len(ids) >= encoder.context:
        return first
    second = await model.sample(prompt + ids, _limited(_going_on(request, first, encoder), left))
    return Sampled(
        ids=[*ids, *second.ids],
        stopped=second.stopped,
        tokens=first.tokens + second.tokens,
        cached_tokens=first.cached_tokens,
    )


def _limited(request: Request, tokens: int) -> Request:
    return replace(request, sampling=request.sampling.bounded(tokens))


def _going_on(request: Request, first: Sampled, encoder: ChatEncoder) -> Request:
    """The request for what follows `first`: whoever reads along is told the text from its start."""
    least = max(0, request.sampling.min_tokens - first.tokens)
    sampling = request.sampling.model_copy(update={"min_tokens": least})
    read, said = request.on_text, first.text
    if read is None:
        return replace(request, sampling=sampling)
    begun = encoder.decode(first.ids) if said is None else encoder.restore(said)
    return replace(request, sampling=sampling, on_text=lambda text: read(begun + text))
