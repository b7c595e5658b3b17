"""Many small questions to one generator, through the engine's admission window."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias

from engine.generators.base import GenerationError, Generator
from engine.runs.scheduler import ask_each

__all__ = ["Job", "OnProgress", "ask_all"]

Job: TypeAlias = Callable[[], Awaitable[None]]
"""Asks something and keeps the answer where it belongs."""
OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the jobs done and all of them."""


async def ask_all(
    jobs: Sequence[Job], generator: Generator, on_progress: OnProgress = lambda done, total: None
) -> Counter[str]:
    """Do every job; those that raise GenerationError are counted by reason and leave no answer.

    Raises GeneratorUnavailable when the engine is gone.
    """
    failures: Counter[str] = Counter()

    async def one(job: Job) -> None:
        try:
            await job()
        except GenerationError as error:
            failures[error.reason] += 1

    on_progress(0, len(jobs))
    async with aclosing(ask_each(jobs, one, generator, total=len(jobs))) as ended:
        done = 0
        async for _ in ended:
            done += 1
            on_progress(done, len(jobs))
    return failures
