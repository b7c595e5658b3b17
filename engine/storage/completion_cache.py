"""What a model answered, by the content of what it was asked: nothing is generated twice.

The key is a hash of everything that moves an answer (model fingerprint, messages, sampling, seed)
and of nothing else, so after one principle is edited only its own requests miss.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from sys import intern
from typing import Any, Literal, TypeVar

from engine.generators.base import Choice, Completion, Request, Sampling, Score
from engine.messages import Conversation, TokenIds
from engine.storage.sqlite import SqliteStore

__all__ = ["CompletionCache", "choice_key", "completion_key", "score_key"]

Answer = TypeVar("Answer", Completion, Choice, Score)


class CompletionCache:
    """Completions, choices and scores by key; `path` None keeps them in memory, for as long as it lives.

    Raises InputError on a file that is damaged or not ours. A failed write, such as StorageFull,
    is raised by the next `put`, `flush` or `close`.
    """

    def __init__(self, path: Path | None) -> None:
        self._memory: dict[bytes, bytes] = {}
        self._store = SqliteStore(path) if path is not None else None

    def get(self, key: bytes, kind: type[Answer]) -> Answer | None:
        """The answer put under a key of its kind; a damaged entry is a miss: it is generated again."""
        value = self._memory.get(key) if self._store is None else self._store.get(key)
        if value is not None:
            with suppress(struct.error, IndexError, ValueError):
                answer: Answer = _DECODERS[kind](value)
                return answer
        return None

    def put(self, key: bytes, answer: Completion | Choice | Score) -> None:
        """Keep an answer; `get` sees it at once."""
        if self._store is None:
            self._memory[key] = _encode(answer)
        else:
            self._store.put(key, _encode(answer))

    def flush(self) -> None:
        """Return when everything put before is on file."""
        if self._store is not None:
            self._store.flush()

    def close(self) -> None:
        """Flush and close; raises what a failed write left behind."""
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> "CompletionCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def completion_key(fingerprint: str, request: Request) -> bytes:
    """Identity of one request to one model; neither priority nor token ids move the answer."""
    parts = [b"completion", _utf8(fingerprint), _utf8(str(request.seed))]
    parts.append(_sampling(request.sampling))
    return _digest(parts, request.messages)


def choice_key(fingerprint: str, messages: Conversation, choices: tuple[str, ...]) -> bytes:
    """Identity of one question about the next turn of a conversation."""
    parts = [b"choice", _utf8(fingerprint), str(len(choices)).encode()]
    return _digest(parts + [_utf8(choice) for choice in choices], messages)


def score_key(fingerprint: str, messages: Conversation) -> bytes:
    """Identity of one answer to be scored; its own tokens move the score, where it has them."""
    tokens = messages[-1].tokens
    parts = [b"score", _utf8(fingerprint)]
    if tokens is not None:
        parts += [_utf8(tokens.tokenizer), struct.pack(f"<{len(tokens.ids)}I", *tokens.ids)]
    return _digest(parts, messages)


def _digest(parts: list[bytes], messages: Conversation) -> bytes:
    """Hash of the parts; each one's length goes first, so no two lists of parts read the same."""
    for message in messages:
        parts.append(_utf8(message.role))
        parts.append(_utf8(message.content))
    framed = b"".join([b"%d:%b" % (len(part), part) for part in parts])
    return blake2b(framed, digest_size=16).digest()


@lru_cache(maxsize=64)
def _sampling(sampling: Sampling) -> bytes:
    numbers = (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.min_tokens)
    return repr([float(number) for number in numbers]).encode()


def _utf8(text: str) -> bytes:
    """Servers may send half a surrogate pair; it is kept as it came."""
    return text.encode("utf-8", "surrogatepass")


_COMPLETION = struct.Struct("<BIIIiIi")
"""Finish reason, tokens of prompt, cached and completion, bytes of tokenizer name (-1 without
token ids), number of token ids, bytes of reasoning (-1 without); then the name, the ids, the
reasoning and the text."""
_CHOICE = struct.Struct("<dIII")
"""Mass, tokens of prompt and cached, answers sampled; then the probabilities."""
_FINISH_REASONS: tuple[Literal["stop"], Literal["length"]] = ("stop", "length")


def _encode(answer: Completion | Choice | Score) -> bytes:
    match answer:
        case Completion():
            return _encode_completion(answer)
        case Choice(probabilities, mass, prompt, cached, samples):
            header = _CHOICE.pack(mass, prompt, cached, samples)
            return header + struct.pack(f"<{len(probabilities)}d", *probabilities)
        case Score(logprobs, prompt):
            return struct.pack(f"<I{len(logprobs)}d", prompt, *logprobs)


def _encode_completion(completion: Completion) -> bytes:
    tokens = completion.tokens
    name = _utf8(tokens.tokenizer) if tokens else b""
    ids = tokens.ids if tokens else ()
    reasoning = _utf8(completion.reasoning or "")
    header = _COMPLETION.pack(
        _FINISH_REASONS.index(completion.finish_reason),
        completion.prompt_tokens,
        completion.cached_tokens,
        completion.completion_tokens,
        len(name) if tokens else -1,
        len(ids),
        len(reasoning) if completion.reasoning is not None else -1,
    )
    packed = struct.pack(f"<{len(ids)}I", *ids)
    return b"".join((header, name, packed, reasoning, _utf8(completion.text)))


def _decode_completion(value: bytes) -> Completion:
    reason, prompt, cached, completion, name_size, count, thought = _COMPLETION.unpack_from(value)
    start = _COMPLETION.size
    tokens = None
    if name_size >= 0:
        name = value[start : start + name_size].decode("utf-8", "surrogatepass")
        ids = struct.unpack_from(f"<{count}I", value, start + name_size)
        tokens = TokenIds(intern(name), ids)
        start += name_size + 4 * count
    reasoning = None
    if thought >= 0:
        reasoning = value[start : start + thought].decode("utf-8", "surrogatepass")
        start += thought
    text = value[start:].decode("utf-8", "surrogatepass")
    return Completion(text, _FINISH_REASONS[reason], prompt, cached, completion, tokens, reasoning)


def _decode_choice(value: bytes) -> Choice:
    mass, prompt, cached, samples = _CHOICE.unpack_from(value)
    count, rest = divmod(len(value) - _CHOICE.size, 8)
    if not count or rest:
        raise ValueError("a choice's probabilities are cut off")
    probabilities = struct.unpack_from(f"<{count}d", value, _CHOICE.size)
    return Choice(probabilities, mass, prompt, cached, samples)


def _decode_score(value: bytes) -> Score:
    count, rest = divmod(len(value) - 4, 8)
    if rest:
        raise ValueError("a score's log-probabilities are cut off")
    prompt_tokens, *logprobs = struct.unpack(f"<I{count}d", value)
    return Score(tuple(logprobs), prompt_tokens)


_DECODERS: dict[type, Callable[[bytes], Any]] = {
    Completion: _decode_completion,
    Choice: _decode_choice,
    Score: _decode_score,
}
