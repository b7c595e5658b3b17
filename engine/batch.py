"""Many conversations at once: an admission window, oldest first, results as they finish.

There is no stage barrier: each conversation goes through its turns at its own pace, and as one
finishes the next is admitted. Memory is bounded by the window, not by the number of prompts.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from constitution.schema import Constitution
from engine.critique_revise import ConversationFailed, critique_and_revise
from engine.generators.base import Generator
from engine.prompts import Prompt
from engine.records import Failure, Record
from engine.settings import LoopSettings, Roles

__all__ = ["Window", "revise_all", "stream"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Window:
    """How many conversations to have under way: what the engines can hold, and a little more.

    An engine holds `kv_tokens / mean request length` sequences, `sequences` at most. The mean is
    learned from the conversations that finish; `expected_tokens` stands in for it until then.
    """

    _SLACK = 1.15
    """So that an engine has work queued while finished turns come round again."""
    _SMALLEST = 8
    _UNKNOWN = 64

    def __init__(
        self,
        generators: Iterable[Generator],
        *,
        expected_tokens: int = 1024,
        size: int | None = None,
    ) -> None:
        self._generators = tuple(generators)
        self._fixed = size
        self._tokens = float(expected_tokens)
        self._requests = 1.0

    def observe(self, tokens: int, requests: int) -> None:
        """Learn from a finished conversation: prompt and completion tokens over its requests."""
        self._tokens += tokens
        self._requests += requests

    @property
    def size(self) -> int:
        """Conversations to have under way now."""
        if self._fixed is not None:
            return self._fixed
        return max(self._SMALLEST, sum(self._holds(g) for g in self._generators))

    def _holds(self, generator: Generator) -> int:
        capacity = generator.capacity
        if capacity.kv_tokens is None:
            return capacity.sequences or self._UNKNOWN
        sequences = capacity.kv_tokens * self._requests / self._tokens
        if capacity.sequences is not None:
            sequences = min(sequences, capacity.sequences)
        return round(sequences * self._SLACK)


async def stream(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], window: Window
) -> AsyncGenerator[Result, None]:
    """Results of `work` in the order they finish, at most `window.size` under way.

    Items are drawn lazily. An exception of `work` ends the stream; closing it cancels what is
    under way.
    """
    finished: asyncio.Queue[asyncio.Task[Result]] = asyncio.Queue()
    under_way: set[asyncio.Task[Result]] = set()
    waiting = iter(items)
    exhausted = False
    try:
        while True:
            while not exhausted and len(under_way) < window.size:
                item = next(waiting, None)
                if item is None:
                    exhausted = True
                    break
                task = asyncio.ensure_future(_result(work, item))
                task.add_done_callback(finished.put_nowait)
                under_way.add(task)
            if not under_way:
                return
            task = await finished.get()
            under_way.discard(task)
            yield task.result()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _result(work: Callable[[Item], Awaitable[Result]], item: Item) -> Result:
    return await work(item)


async def revise_all(
    prompts: Iterable[Prompt],
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    *,
    window: Window | None = None,
) -> AsyncGenerator[Record | Failure, None]:
    """Critique and revise every prompt; each yields one record or one failure, as it finishes.

    Raises GeneratorUnavailable when an engine is gone; what was yielded before stands.
    """
    window = window or Window(
        roles.generators, expected_tokens=3 * roles.policy.sampling.max_tokens
    )

    async def one(prompt: Prompt) -> Record | Failure:
        try:
            return await critique_and_revise(prompt, constitution, roles, settings)
        except ConversationFailed as failed:
            return Failure(
                id=prompt.id,
                row=prompt.row,
                stage=failed.stage,
                reason=failed.error.reason,
                message=str(failed.error),
                retryable=failed.error.retryable,
            )

    async with aclosing(stream(prompts, one, window)) as results:
        async for result in results:
            if isinstance(result, Record) and result.usage.requests:
                usage = result.usage
                window.observe(usage.prompt_tokens + usage.completion_tokens, usage.requests)
            yield result
