"""A judge that reads a debate before it decides.

Irving, Christiano and Amodei 2018, "AI safety via debate", with one exchange: for each answer on offer
somebody argues, without seeing the other side, and the judge reads both before it chooses. Which side
is heard first is a hash of the question, so that being first favours neither.
"""

import asyncio
from hashlib import blake2b

from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    Generator,
    Request,
    Sampling,
    Score,
)
from engine.loop.rendering import render
from engine.loop.reply import reply_of
from engine.messages import Conversation, Message

__all__ = ["DebatingJudge", "inner_of"]

_ARGUMENT = Sampling(max_tokens=96, temperature=0.0)
"""Three sentences; a verdict should not depend on luck."""


class DebatingJudge:
    """`judge`, which argues each side before it chooses; what else it is asked, it answers as it is.

    Raises as the judge does.
    """

    def __init__(self, judge: Generator, spec: str) -> None:
        self.judge = judge
        self.spec = spec
        self.fingerprint = f"debate:{judge.fingerprint}"

    @property
    def capacity(self) -> Capacity:
        return self.judge.capacity

    async def start(self) -> None:
        await self.judge.start()

    async def close(self) -> None:
        await self.judge.close()

    async def generate(self, request: Request) -> Completion:
        return await self.judge.generate(request)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        return await self.judge.score(messages, priority=priority)

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """The choice after the debate; tokens are those of all its requests."""
        sides = _in_order(messages, choices)
        said = await asyncio.gather(*(self._argued(messages, side, priority) for side in sides))
        arguments = [
            {"side": side, "text": reply_of(argument).text}
            for side, argument in zip(sides, said, strict=True)
        ]
        text = render("debate.jinja", question=messages[-1].content, arguments=arguments)
        asked = (*messages[:-1], Message("user", text))
        choice = await self.judge.choose(asked, choices, priority=priority)
        return Choice(
            choice.probabilities,
            choice.mass,
            choice.prompt_tokens + sum(one.prompt_tokens + one.completion_tokens for one in said),
            choice.cached_tokens + sum(one.cached_tokens for one in said),
            choice.samples,
        )

    async def _argued(self, messages: Conversation, side: str, priority: int) -> Completion:
        text = render("argument.jinja", question=messages[-1].content, side=side)
        asked = (*messages[:-1], Message("user", text))
        return await self.judge.generate(Request(asked, _ARGUMENT, seed=0, priority=priority))


def inner_of(generator: Generator) -> Generator:
    """The model behind a generator."""
    return generator.judge if isinstance(generator, DebatingJudge) else generator


def _in_order(messages: Conversation, choices: tuple[str, ...]) -> tuple[str, ...]:
    """The choices, turned round for every other question."""
    text = "\x00".join(message.content for message in messages)
    odd = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] % 2
    return choices[::-1] if odd else choices
