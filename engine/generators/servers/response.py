"""What a server's answer says, whatever its shape. What is hardly needed never fails a good answer."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from constitution.reading import NotJson, parse_json
from engine.generators.base import FailureReason, GenerationError
from engine.generators.servers.error_body import mapping
from engine.generators.servers.errors import TransientError, bad_response

__all__ = ["Answer", "TopToken", "parse_answers", "parse_prompt_logprobs"]

_MOST_TOKENS = 2**31 - 1
_CUT_OFF = (
    "length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded",
)  # fmt: skip
_FILTERED = (
    "content_filter", "safety", "prohibited_content", "recitation", "blocklist", "spii", "sensitive",
)  # fmt: skip
_BROKE_OFF = ("error", "network_error", "insufficient_system_resource")
_SAID = ("text", "output_text", "refusal")
"""Kinds of parts of a content that are the answer; the others are not."""


class TopToken(NamedTuple):
    """A token that may have come at a position, and its natural log-probability."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice of a response. `positions` are the likeliest tokens at each token generated, the
    one that was sampled first; None where there are no log-probabilities."""

    text: str
    reasoning: str | None
    finish_reason: Literal["stop", "length"]
    positions: tuple[tuple[TopToken, ...], ...] | None
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    token_ids: tuple[int, ...] | None = None
    """Those of the text and its end, where the server was asked for them and gives them."""
    prompt_token_ids: tuple[int, ...] | None = None
    """Those of the prompt, likewise."""


def parse_answers(text: str) -> list[Answer]:
    """The choices of a response, at least one.

    Raises TransientError for what is none, and GenerationError (CONTENT_FILTER) where the server
    took the answer back, (REJECTED) where the model called a tool instead of answering.
    """
    response = _response(text)
    choices = response.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_choices(response, text)
    usage = mapping(response.get("usage"))
    counts = (
        _count(usage.get("prompt_tokens")),
        _count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens")),
        _count(usage.get("completion_tokens")),
    )
    prompt = _token_ids(response.get("prompt_token_ids"))
    return [_answer(mapping(choice), counts, prompt, text) for choice in choices]


def parse_prompt_logprobs(text: str) -> list[tuple[str, float]] | None:
    """Each token of the prompt, by its id, and its log-probability (the first has none: 0), as vLLM
    gives them; None where the server does not. Raises TransientError for garbage."""
    found = _response(text).get("prompt_logprobs")
    if found is None:
        return None
    try:
        # vLLM puts the prompt's own token first; nothing predicts the first one.
        firsts = [next(iter(at.items()), None) if at else None for at in found]
        return [
            (first[0], _logprob(first[1]["logprob"])) if first else ("", 0.0) for first in firsts
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise bad_response("its `prompt_logprobs` cannot be read", text) from error


def _response(text: str) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except NotJson as error:
        if text.lstrip()[:1] == "<":
            what = "a web page instead of an API's answer: is its URL right? most end in /v1"
            raise bad_response(what, text) from error
        raise bad_response("it is not JSON", text) from error
    if not isinstance(found, dict):
        raise bad_response("it is not an object", text)
    return found


def _no_choices(response: Mapping[str, Any], text: str) -> TransientError:
    error = response.get("error")
    if error:
        message = error.get("message") if isinstance(error, Mapping) else error
        what = f"the server passes an error on: {message}"
        return TransientError(FailureReason.SERVER_ERROR, str(what))
    return bad_response("it has no choices", text)


def _answer(
    choice: Mapping[str, Any],
    counts: tuple[int, int, int],
    prompt: tuple[int, ...] | None,
    text: str,
) -> Answer:
    message = mapping(choice.get("message"))
    said, thought = _content(message.get("content", choice.get("text")))
    finish = str(choice.get("finish_reason") or "stop").lower()
    if finish in _FILTERED:
        raise GenerationError(FailureReason.CONTENT_FILTER, "the server filtered the answer")
    if finish in _BROKE_OFF or choice.get("error"):
        what = f"the server broke the answer off ({choice.get('error') or finish})"
        raise TransientError(FailureReason.SERVER_ERROR, what)
    if not said and isinstance(message.get("refusal"), str):
        said = message["refusal"]
    reasoning = _first_text(message, "reasoning_content", "reasoning", "thinking") or thought
    if not said and (message.get("tool_calls") or message.get("function_call")):
        called = "the model called a tool instead of answering"
        raise GenerationError(FailureReason.REJECTED, called)
    if said is None and reasoning is None and finish not in _CUT_OFF:
        raise bad_response("it has no content", text)
    return Answer(
        said or "",
        reasoning,
        "length" if finish in _CUT_OFF else "stop",
        _positions(mapping(choice.get("logprobs")).get("content"), text),
        *counts,
        token_ids=_token_ids(choice.get("token_ids")),
        prompt_token_ids=prompt,
    )


def _content(content: Any) -> tuple[str | None, str | None]:
    """Text and reasoning of a message's content, which may be a list of parts."""
    if isinstance(content, str):
        return content, None
    if not isinstance(content, list):
        return None, None
    said: list[str] = []
    thought: list[str] = []
    for part in content:
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, Mapping):
            kind = str(part.get("type", "text"))
            into = said if kind in _SAID else thought
            into += _texts(part.get(kind, part.get("text")))
    return "".join(said), "".join(thought) or None


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, Mapping):
        yield from _texts(part.get("text"))
    elif isinstance(part, list):
        for inner in part:
            yield from _texts(inner)


def _token_ids(found: Any) -> tuple[int, ...] | None:
    if isinstance(found, list) and all(type(id_) is int and id_ >= 0 for id_ in found):
        return tuple(found)
    return None


def _first_text(message: Mapping[str, Any], *names: str) -> str | None:
    return next((message[n] for n in names if isinstance(message.get(n), str) and message[n]), None)


def _positions(content: Any, text: str) -> tuple[tuple[TopToken, ...], ...] | None:
    if not isinstance(content, list) or not content:
        return None
    try:
        return tuple(_position(at) for at in content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise bad_response("its log-probabilities cannot be read", text) from error


def _position(at: Mapping[str, Any]) -> tuple[TopToken, ...]:
    """The token that was sampled, and others; each token once, as the list of the likeliest has it."""
    rows: Sequence[Mapping[str, Any]] = at.get("top_logprobs") or ()
    found = {str(row["token"]): _logprob(row["logprob"]) for row in rows}
    sampled = str(at.get("token", next(iter(found), "")))
    if sampled not in found:
        found[sampled] = _logprob(at["logprob"])
    others = (name for name in found if name != sampled)
    return tuple(TopToken(name, found[name]) for name in (sampled, *others))


def _logprob(value: Any) -> float:
    """Raises ValueError for what no log-probability can be."""
    number = float(value) if isinstance(value, int | float) else math.nan
    if math.isnan(number) or number > 1e-3:
        raise ValueError(f"{value!r} is no log-probability")
    return number


def _count(value: Any) -> int:
    """A number of tokens within what is stored of it; 0 for anything else: it is not worth a run."""
    return min(max(value, 0), _MOST_TOKENS) if type(value) is int else 0
