"""A generator without a model: deterministic, instant, and able to fail on demand.

It stands in for a model in tests, in dry runs of a new prompts file or constitution, and in
benchmarks of the engine's own overhead. `scripted` alone answers with words drawn from a hash of
the request; `scripted:FILE` follows the rules of a YAML file, the first whose `match` is found in
the last user turn:

    delay: 0.01                      # seconds per request
    context: 4096                    # words that fit; a longer conversation overflows
    rules:
      - {match: "Identify", reply: "It gives away too much."}
      - {match: "Rewrite", reply: ["First wording.", "Second wording."]}   # one of them, by seed
      - {match: "true of this reply", probabilities: [0.9, 0.1]}  # No, Yes: it breaks it
      - {match: "poison", fail: server_error}
"""

import asyncio
import hashlib
import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from constitution.problems import InputError, Problem
from constitution.reading import read_bytes
from constitution.typed_yaml import checked
from constitution.yaml_source import MAX_BYTES, decode, read_yaml
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
from engine.messages import Conversation

__all__ = ["Script", "ScriptRule", "ScriptedGenerator", "load_script"]

_WORDS = (
    "answer better calm careful clear close direct early easy fair first frank full gentle good "
    "honest kind last light long measured mild near new open plain quiet rare ready right round "
    "safe short simple small soft sound steady still strong sure tidy true warm whole wide wise"
).split()


_WORD_END = re.compile(r"\S+\s*")
_QUOTED_END = "</reply>"
_MENDED = "Mended:"
"""How a reply begins that was written with another one quoted, a revision; the judge takes nearly all
that is asked about it to be true, or else nothing that a dry run writes would be better than what it
replaces."""
_DOUBTED = 0.03


_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ScriptRule(BaseModel):
    """What to do when `match` (a regular expression) is found in the last user turn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: str = ""
    reply: str | tuple[str, ...] | None = None
    probabilities: tuple[_Weight, ...] | None = None
    finish_reason: Literal["stop", "length"] = "stop"
    fail: FailureReason | None = None
    mass: Annotated[float, Field(ge=0, le=1)] = 1.0

    @field_validator("probabilities")
    @classmethod
    def _sum_to_something(cls, weights: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if weights is not None and not 0 < sum(weights) < float("inf"):
            raise ValueError("one of the probabilities must be above 0")
        return weights


class Script(BaseModel):
    """A whole script; see the module's docstring for the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[ScriptRule, ...] = ()
    delay: _Weight = 0.0
    context: Annotated[int, Field(ge=1)] | None = None


def load_script(path: Path) -> Script:
    """Read a script. Raises InputError when the file is missing or not a script."""
    remedy = "see the scripted generator in docs/generators.md"
    text = decode(read_bytes(path, remedy, most=MAX_BYTES + 1), str(path))
    try:
        source = read_yaml(text or "{}", str(path), any_text=True)
        script = checked(source, Script)
        for rule in script.rules:
            re.compile(rule.match)
    except (InputError, re.error, OverflowError, RecursionError) as error:
        problems = error.problems if isinstance(error, InputError) else ()
        what, where = (problems[0].what, problems[0].where) if problems else (error, path)
        raise InputError(Problem(str(where), f"is not a script: {what}", remedy)) from error
    return script


class ScriptedGenerator:
    """Follows a `Script`; without rules, answers with words drawn from a hash of the request."""

    def __init__(self, script: Script | None = None, spec: str = "scripted") -> None:
        self.script = script or Script()
        self.spec = spec
        self.capacity = Capacity(sequences=64)
        content = json.dumps(self.script.model_dump()).encode()
        self.fingerprint = f"scripted:{hashlib.sha256(content).hexdigest()[:16]}"
        self._patterns = [(re.compile(rule.match), rule) for rule in self.script.rules]

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to release."""

    async def generate(self, request: Request) -> Completion:
        """The first matching rule's reply, or words from a hash of seed and messages."""
        rule, words = await self._prepare(request.messages)
        text = self._reply(rule, request)
        if request.messages[-1].role == "assistant":
            text = text.removeprefix(request.messages[-1].content)
        await _write_out(text, request.on_text)
        completion_tokens = len(text.split())
        finish = rule.finish_reason if rule else "stop"
        return Completion(text, finish, words, 0, completion_tokens)

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """The first matching rule's probabilities, or ones drawn from a hash of the messages."""
        rule, words = await self._prepare(messages)
        weights = rule.probabilities if rule else None
        if not weights:
            draw = random.Random(_digest(messages, 0))
            weights = tuple(draw.random() for _ in choices)
            mended = "Yes" in choices and f"<reply>\n{_MENDED}" in messages[-1].content
            if mended and draw.random() > _DOUBTED:
                weights = tuple(9.0 if choice == "Yes" else 1.0 for choice in choices)
        total = sum(weights)
        probabilities = tuple(weight / total for weight in weights)
        return Choice(probabilities, rule.mass if rule else 1.0, words)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """One log-probability a word: the logarithm of a uniform number in (0, 1], drawn from a
        hash of the script and the messages."""
        context, answer = split_answer(messages)
        _, words = await self._prepare(context)
        draw = random.Random(self.fingerprint.encode() + _digest(messages, 0))
        logprobs = tuple(math.log(1 - draw.random()) for _ in answer.content.split())
        return Score(logprobs, words)

    async def _prepare(self, messages: Conversation) -> tuple[ScriptRule | None, int]:
        await asyncio.sleep(self.script.delay)
        words = sum(message.content.count(" ") + 1 for message in messages)
        if self.script.context is not None and words >= self.script.context:
            reason = f"{words} words do not fit a context of {self.script.context}"
            raise GenerationError(FailureReason.CONTEXT_OVERFLOW, reason)
        last = next((m.content for m in reversed(messages) if m.role == "user"), "")
        rule = next((rule for pattern, rule in self._patterns if pattern.search(last)), None)
        if rule and rule.fail:
            raise GenerationError(rule.fail, f"scripted to fail with {rule.fail}")
        return rule, words

    def _reply(self, rule: ScriptRule | None, request: Request) -> str:
        if rule and isinstance(rule.reply, str):
            return rule.reply
        digest = _digest(request.messages, request.seed)
        if rule and rule.reply:
            return rule.reply[digest[0] % len(rule.reply)]
        drawn = " ".join(_WORDS[byte % len(_WORDS)] for byte in digest)
        revises = _QUOTED_END in request.messages[-1].content
        return f"{_MENDED} {drawn}." if revises else f"{drawn.capitalize()}."


async def _write_out(text: str, on_text: Callable[[str], None] | None) -> None:
    """Word by word, as a model that streams."""
    if on_text is not None:
        for word in _WORD_END.finditer(text):
            on_text(text[: word.end()])
            await asyncio.sleep(0)


def _digest(messages: Conversation, seed: int) -> bytes:
    digest = hashlib.blake2b(str(seed).encode(), digest_size=24)
    for message in messages:
        content = message.content.encode("utf-8", "surrogatepass")
        digest.update(f"{message.role}{len(content)}:".encode())
        digest.update(content)
    return digest.digest()
