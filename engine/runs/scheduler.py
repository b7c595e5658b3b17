"""Many conversations at once: an admission window, oldest first, results as they finish.

There is no stage barrier: each conversation goes through its turns at its own pace, and as one
finishes the next is admitted. Memory is bounded by the window, not by the number of prompts.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

from constitution.schema import Constitution
from engine.generators.base import Capacity, Generator
from engine.generators.in_flight import one_conversation
from engine.loop.asking import ConversationFailed, counting
from engine.loop.critique_revise import critique_and_revise
from engine.prompts.sources import Prompt
from engine.records import Failure, Record
from engine.settings import LoopSettings, Roles

__all__ = ["Window", "Work", "ask_each", "each_prompt", "revise_all", "revising", "stream"]

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Prompt, Callable[[int], None]], Awaitable[Result]]
"""What to do with one prompt. It calls back with the tokens, prompt and completion, of each request
that came back, and raises ConversationFailed when there is no result."""


class Window:
    """How many conversations to have in flight: as many as the engines can hold to their end.

    An engine holds `kv_tokens / footprint` conversations, `sequences` at most; the footprint, the
    tokens of a conversation's longest request, is learned from those that finish and is
    `expected_tokens` until then. Admission starts with a few conversations and, once the first of
    them has ended, grows by two with each turn that comes back: a crowd admitted at once would be
    prefilled at once, move in step like a stage barrier, and have no record on disk for half the
    run. So few that starting slowly takes longer than all of them (`total`) start at once.
    Conversations with several `requests` in flight at a time share the capacity.
    """

    _SLACK = 1.1
    """So that an engine has work queued while finished turns come round again."""
    _SMALLEST = 4
    _FIRST = 8
    """The first few: this many, or a `_SHARE`th of the capacity."""
    _SHARE = 32
    _FEW = 32
    _UNKNOWN = 64

    def __init__(
        self,
        generators: Iterable[Generator],
        *,
        expected_tokens: int = 1024,
        requests: int = 1,
        total: int | None = None,
        size: int | None = None,
    ) -> None:
        self._generators = tuple(generators)
        self._first = self._FEW if total is not None and total <= self._FEW else self._FIRST
        self._requests = requests
        self._fixed = size
        self._tokens = float(expected_tokens)
        self._conversations = 1
        self._ended = self._grown = 0
        self._turns = self._turns_of_ended = 0
        self._wake: Callable[[], None] = lambda: None

    def on_growth(self, wake: Callable[[], None]) -> None:
        """Have `wake` called whenever there may be room for another conversation."""
        self._wake = wake

    def turn_came_back(self) -> None:
        """Admission may grow: the engine has finished a request."""
        self._turns += 1
        if self._fixed is None and self._ended and self._grown < self._capacity():
            self._grown += 2
            self._wake()

    def conversation_ended(self, footprint: int, turns: int = 1) -> None:
        """Learn from a conversation: the tokens of its longest request, 0 if it had none, and how
        many turns came back."""
        self._ended += 1
        self._turns_of_ended += turns
        if footprint:
            self._tokens += footprint
            self._conversations += 1

    @property
    def half_done(self) -> float:
        """How many whole conversations the finished turns of those in flight add up to."""
        unended = max(0, self._turns - self._turns_of_ended)
        return unended * self._ended / self._turns_of_ended if self._turns_of_ended else 0.0

    @property
    def size(self) -> int:
        """Conversations to have in flight now."""
        if self._fixed is not None:
            return self._fixed
        capacity = self._capacity()
        return min(capacity, max(self._first, capacity // self._SHARE) + self._grown)

    def _capacity(self) -> int:
        capacities = [generator.capacity for generator in self._generators]
        engines = {id(capacity): capacity for capacity in capacities}
        held = sum(map(self._holds, engines.values())) // self._requests
        return max(self._SMALLEST, held)

    def _holds(self, capacity: Capacity) -> int:
        if capacity.kv_tokens is None:
            return capacity.sequences or self._UNKNOWN
        conversations = capacity.kv_tokens * self._conversations / self._tokens
        if capacity.sequences is not None:
            conversations = min(conversations, capacity.sequences)
        return round(conversations * self._SLACK)


async def stream(
    items: Iterable[Item], work: Callable[[Item], Awaitable[Result]], window: Window
) -> AsyncGenerator[Result, None]:
    """Results of `work` in the order they finish, at most `window.size` in flight.

    The requests for one item belong together, as `one_conversation` says. Items are drawn lazily. An exception of `work` ends the stream; closing it cancels what is
    in flight.
    """
    finished: asyncio.Queue[asyncio.Task[Result] | None] = asyncio.Queue()
    window.on_growth(lambda: finished.put_nowait(None))
    in_flight: set[asyncio.Task[Result]] = set()
    waiting = iter(items)
    exhausted = False
    try:
        while True:
            while not exhausted and len(in_flight) < window.size:
                item = next(waiting, None)
                if item is None:
                    exhausted = True
                    break
                task = asyncio.ensure_future(_together(work, item))
                task.add_done_callback(finished.put_nowait)
                in_flight.add(task)
            if not in_flight:
                return
            ended = await finished.get()
            if ended is not None:
                in_flight.discard(ended)
                yield ended.result()
    finally:
        for task in in_flight:
            task.cancel()
        await asyncio.gather(*in_flight, return_exceptions=True)


async def _together(work: Callable[[Item], Awaitable[Result]], item: Item) -> Result:
    with one_conversation():
        return await work(item)


async def ask_each(
    items: Iterable[Item],
    work: Callable[[Item], Awaitable[Result]],
    generator: Generator,
    *,
    total: int | None = None,
) -> AsyncGenerator[Result, None]:
    """`stream` for items that are a question or two each, asked of one generator.

    `total` is how many there are, where that is known.
    """
    window = Window((generator,), total=total)

    async def one(item: Item) -> Result:
        try:
            return await work(item)
        finally:
            window.turn_came_back()
            window.conversation_ended(0)

    async with aclosing(stream(items, one, window)) as results:
        async for result in results:
            yield result


async def each_prompt(
    prompts: Iterable[Prompt], work: Work[Result], window: Window
) -> AsyncGenerator[Result | Failure, None]:
    """One result or one failure of `work` for each prompt, as it finishes.

    Raises GeneratorUnavailable when an engine is gone; what was yielded before stands.
    """

    async def one(prompt: Prompt) -> Result | Failure:
        footprint = turns = 0

        def came_back(tokens: int) -> None:
            nonlocal footprint, turns
            footprint = max(footprint, tokens)
            turns += 1
            window.turn_came_back()

        try:
            return await work(prompt, came_back)
        except ConversationFailed as failed:
            return Failure(
                id=prompt.id,
                row=prompt.row,
                stage=failed.stage,
                reason=failed.error.reason,
                message=str(failed.error),
                retryable=failed.error.retryable,
            )
        finally:
            window.conversation_ended(footprint, turns)

    async with aclosing(stream(prompts, one, window)) as results:
        async for result in results:
            yield result


def revising(constitution: Constitution, roles: Roles, settings: LoopSettings) -> Work[Record]:
    """Critique and revise one prompt, as the work of a batch."""

    return lambda prompt, came_back: critique_and_revise(
        prompt, constitution, roles, settings, on_step=counting(came_back)
    )


def revise_all(
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
    return each_prompt(prompts, revising(constitution, roles, settings), window)
