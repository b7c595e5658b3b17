"""Ask every server once before anything is spent: can it do what it is there for, and how?

A model in this process says what it can when it is loaded; a server says it only when it is asked.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.generators.base import (
    GenerationError,
    Generator,
    GeneratorUnavailable,
    Request,
    Sampling,
    started,
)
from engine.generators.debate import inner_of
from engine.generators.facts import ENOUGH_MASS, JUDGES_QUESTION, ModelFacts
from engine.generators.reasoning import split_reasoning
from engine.generators.server import ServerGenerator

__all__ = ["Preflight", "Task", "facts_of"]


@dataclass(frozen=True, slots=True)
class Task:
    """What a model is there for."""

    writes: bool = False
    judges: bool = False

    def __or__(self, other: "Task") -> "Task":
        return Task(self.writes or other.writes, self.judges or other.judges)


@dataclass(slots=True)
class Preflight:
    """The servers among some models, asked together, once, when `passed` is first awaited.

    `on_found` is called with what was found. Whoever waits for the same preflight gets its error.
    """

    tasks: Mapping[Generator, Task]
    on_found: Callable[[Sequence[ModelFacts]], None] = lambda facts: None
    _asked: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def passed(self) -> None:
        """Raises GeneratorUnavailable for a server that cannot do its job, with what to do."""
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._ask_all())
        await asyncio.shield(self._asked)

    async def _ask_all(self) -> None:
        tasks: dict[Generator, Task] = {}
        for generator, task in self.tasks.items():
            model = inner_of(generator)
            tasks[model] = tasks.get(model, Task()) | task
        servers = {g: task for g, task in tasks.items() if isinstance(g, ServerGenerator)}
        if servers:
            self.on_found([await facts_of(server, task) for server, task in servers.items()])


async def facts_of(generator: Generator, task: Task) -> ModelFacts:
    """Start a model, ask it once for what it is there for, and close it.

    Raises GeneratorUnavailable where it cannot do that, and as `start` does.
    """
    async with started([generator]):
        if isinstance(generator, ServerGenerator):
            return await generator.preflight(writes=task.writes, judges=task.judges)
        try:
            return await _asked_in_process(generator, task)
        except GenerationError as error:
            raise GeneratorUnavailable(f"{generator.spec}: {error}") from error


async def _asked_in_process(generator: Generator, task: Task) -> ModelFacts:
    reasons = False
    if task.writes:
        request = Request(JUDGES_QUESTION, Sampling(max_tokens=16), seed=0)
        completion = await generator.generate(request)
        thought = split_reasoning(completion.text)[1]
        reasons = completion.reasoning is not None or thought is not None
    if task.judges:
        choice = await generator.choose(JUDGES_QUESTION, ("Yes", "No"))
        if choice.mass < ENOUGH_MASS:
            raise GeneratorUnavailable(
                f"{generator.spec} cannot judge: asked a question, it gives Yes or No with "
                f"probability {choice.mass:.2g}; name another judge with --judge"
            )
    return ModelFacts(
        spec=generator.spec,
        reasons=reasons,
        verdicts="log-probs" if task.judges else None,
    )
