"""A generator that asks the completion cache first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from engine.generators.base import Capacity, Choice, Completion, Generator, Request, Score
from engine.generators.preflight import Preflight, Task
from engine.generators.vllm import VllmGenerator
from engine.messages import Conversation
from engine.settings import RoleModels
from engine.storage.completion_cache import CompletionCache, choice_key, completion_key, score_key

__all__ = ["CachedGenerator", "CallCounts", "behind_cache", "preflight_of", "remembering"]

Answer = TypeVar("Answer", Completion, Choice, Score)


@dataclass(slots=True)
class CallCounts:
    """What was asked of a generator; tokens are those of generated requests alone."""

    generated_requests: int = 0
    cached_requests: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    """Prompt tokens that the engine's KV cache served."""
    completion_tokens: int = 0

    @property
    def requests(self) -> int:
        """All of them, whether generated or re-used."""
        return self.generated_requests + self.cached_requests

    @property
    def cached_share(self) -> float | None:
        """Share of the requests that the completion cache answered."""
        return self.cached_requests / self.requests if self.requests else None

    @property
    def prefix_share(self) -> float | None:
        """Share of the prompt tokens that a KV cache served."""
        return self.cached_prompt_tokens / self.prompt_tokens if self.prompt_tokens else None

    def add(self, answer: Completion | Choice | Score) -> None:
        """Count an answer that was generated."""
        self.generated_requests += 1
        self.prompt_tokens += answer.prompt_tokens
        if isinstance(answer, Score):
            self.prompt_tokens += len(answer.logprobs)
        else:
            self.cached_prompt_tokens += answer.cached_tokens
        if isinstance(answer, Completion):
            self.completion_tokens += answer.completion_tokens


class CachedGenerator:
    """`generator` behind `cache`, which may be shared with other generators and outlives this one.

    The model is loaded at the first miss, so a run that is all in the cache loads none. Equal
    requests at the same time are generated once; if the one generating fails or is cancelled, the
    next one waiting generates. Failures are not cached. Where there is a `preflight`, it has passed
    before the first of its models starts. Raises as the generator does, and StorageFull when the
    cache's disk is full.
    """

    def __init__(
        self, generator: Generator, cache: CompletionCache, preflight: Preflight | None = None
    ) -> None:
        self.counts = CallCounts()
        self.fingerprint = generator.fingerprint
        self._generator = generator
        self._cache = cache
        self._in_flight: dict[bytes, asyncio.Future[None]] = {}
        self._predecessor: CachedGenerator | None = None
        self._preflight = preflight
        self._starting = asyncio.Lock()
        self.started = False

    @property
    def spec(self) -> str:
        """The wrapped generator's spec."""
        return self._generator.spec

    @property
    def capacity(self) -> Capacity:
        """The wrapped generator's capacity."""
        return self._generator.capacity

    async def start(self) -> None:
        """Nothing: the wrapped generator starts at the first request the cache cannot answer."""

    def succeed(self, old: "CachedGenerator") -> None:
        """Take the place of `old`, which will not be asked again, instead of closing it.

        Its model keeps running until this one's must start, or until this one is closed. Of two
        checkpoints of one model in vLLM the next takes over the engine with its own weights in it,
        in seconds rather than a minute, where nothing but weights differs.
        """
        self._predecessor = old

    async def close(self) -> None:
        """Close the wrapped generator if it was started; the cache stays open."""
        running = self._give_up()
        if running is not None:
            await running.close()

    def _give_up(self) -> Generator | None:
        """What is running: the wrapped generator, or one that it was to succeed."""
        if self.started:
            self.started = False
            return self._generator
        old, self._predecessor = self._predecessor, None
        return old._give_up() if old is not None else None

    async def generate(self, request: Request) -> Completion:
        """The completion, from the cache if it is there."""
        key = completion_key(self.fingerprint, request)
        return await self._answer(key, Completion, lambda: self._generator.generate(request))

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """The choice, from the cache if it is there."""
        key = choice_key(self.fingerprint, messages, choices)
        return await self._answer(
            key, Choice, lambda: self._generator.choose(messages, choices, priority=priority)
        )

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """The score, from the cache if it is there."""
        key = score_key(self.fingerprint, messages)
        return await self._answer(
            key, Score, lambda: self._generator.score(messages, priority=priority)
        )

    async def _answer(
        self, key: bytes, kind: type[Answer], ask: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The cached answer, after any equal request in flight, or what `ask` brings."""
        while (cached := self._cache.get(key, kind)) is None and key in self._in_flight:
            await asyncio.wait([self._in_flight[key]])
        if cached is not None:
            self.counts.cached_requests += 1
            return cached
        landed = self._in_flight[key] = asyncio.get_running_loop().create_future()
        try:
            await self._ensure_started()
            answer = await ask()
            self._cache.put(key, answer)
        finally:
            del self._in_flight[key]
            landed.set_result(None)
        self.counts.add(answer)
        return answer

    async def _ensure_started(self) -> None:
        if self.started:
            return
        if self._preflight is not None:
            await self._preflight.passed()
        async with self._starting:
            if not self.started:
                old, new = self._give_up(), self._generator
                try:
                    if isinstance(old, VllmGenerator) and isinstance(new, VllmGenerator):
                        await new.take_over(old)
                except BaseException:
                    await new.close()
                    raise
                finally:  # an engine that nobody closes keeps the program from ending
                    if old is not None:
                        await old.close()
                await new.start()
                self.started = True


def preflight_of(models: RoleModels, idle: Collection[str] = ()) -> Preflight:
    """What the models of roles are asked before anything is spent: the judge judges, others write,
    and `idle` roles do nothing."""
    tasks: dict[Generator, Task] = {}
    for role, model in models.items():
        if role in idle:
            continue
        task = Task(judges=True) if role == "judge" else Task(writes=True)
        tasks[model.generator] = tasks.get(model.generator, Task()) | task
    return Preflight(tasks)


def behind_cache(
    models: RoleModels, cache: CompletionCache, preflight: Preflight | None = None
) -> tuple[RoleModels, tuple[CachedGenerator, ...]]:
    """The models of roles behind one completion cache, and their generators, each once."""
    preflight = preflight or preflight_of(models)
    generators = {id(model.generator): model.generator for model in models.values()}
    cached = {
        key: CachedGenerator(generator, cache, preflight) for key, generator in generators.items()
    }
    behind = {
        role: replace(model, generator=cached[id(model.generator)])
        for role, model in models.items()
    }
    return behind, tuple(cached.values())


@asynccontextmanager
async def remembering(generator: Generator, file: Path | None) -> AsyncIterator[CachedGenerator]:
    """A judge behind the completion cache in `file` (None: in memory); closed in the end."""
    with CompletionCache(file) as cache:
        cached = CachedGenerator(generator, cache, Preflight({generator: Task(judges=True)}))
        try:
            yield cached
        finally:
            await cached.close()
