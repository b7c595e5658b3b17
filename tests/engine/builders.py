"""Small constitutions, prompts and generators that the engine's tests share."""

import asyncio
from collections.abc import Callable

from constitution.schema import Constitution, Principle
from engine.generators.base import Capacity, Choice, Completion, GenerationError, Request, Score
from engine.messages import Conversation, Message
from engine.prompts.sources import Prompt
from engine.settings import LoopSettings

Reply = str | Completion | GenerationError


def principle(name: str, **fields) -> Principle:
    return Principle(id=name, statement=f"The assistant keeps {name}.", **fields)


def constitution(*names: str, **fields) -> Constitution:
    return Constitution(name="test", principles=tuple(map(principle, names)), **fields)


def prompt(name: str = "p0", text: str = "What should I do?", row: int = 0, **fields) -> Prompt:
    return Prompt(id=name, row=row, messages=(Message("user", text),), **fields)


def prompts(count: int) -> list[Prompt]:
    return [prompt(f"p{row}", f"Question number {row}?", row) for row in range(count)]


class Replies:
    """A generator that replies as a function of the request says, and remembers requests."""

    spec = "replies"
    fingerprint = "replies"
    capacity = Capacity(sequences=8)

    def __init__(
        self,
        reply: Callable[[Request], Reply],
        verdict: Callable[[Conversation], Choice | GenerationError] | None = None,
    ) -> None:
        self.reply = reply
        self.verdict = verdict
        self.requests: list[Request] = []
        self.questions: list[Conversation] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def generate(self, request: Request) -> Completion:
        self.requests.append(request)
        answer = self.reply(request)
        if isinstance(answer, GenerationError):
            raise answer
        return Completion(answer, "stop", 10, 0, 5) if isinstance(answer, str) else answer

    async def choose(self, messages, choices, *, priority=0) -> Choice:
        self.questions.append(messages)
        answer = self.verdict(messages) if self.verdict else Choice((0.1, 0.9), 1.0)
        if isinstance(answer, GenerationError):
            raise answer
        return answer

    async def score(self, messages, *, priority=0) -> Score:
        return Score((-1.0,) * len(messages[-1].content.split()))


def in_turn(*replies: Reply) -> Callable[[Request], Reply]:
    """Replies one after another, whatever is asked."""
    left = list(replies)
    return lambda request: left.pop(0)


def paper(**settings):
    """The settings of Bai et al. 2022, section 3.1, and one round unless it says otherwise."""
    as_published = {"select": "random", "accept": "always", "framing": "conversation", "rounds": 1}
    return LoopSettings(**{**as_published, **settings})


def finish(run):
    """What a run comes to, once it is closed."""

    async def work():
        try:
            return await run.execute()
        finally:
            await run.close()

    return asyncio.run(work())
