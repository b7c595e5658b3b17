"""Choices of a model in process that thinks before it answers.

The probabilities of the first token say nothing of such a model's choice: it is `<think>`. It is then
left to think, and those of the first token after its thought are read.
"""

import asyncio

from engine.generators.base import Choice, Request, Sampling
from engine.generators.chat_template import ChatEncoder
from engine.generators.facts import ENOUGH_MASS
from engine.generators.thinking import TokenModel
from engine.messages import Conversation

__all__ = ["ThinkingJudge"]

_BUDGET = 1024
_CLOSING = 32
"""Tokens left free for what closes a thought."""


class ThinkingJudge:
    """Chooses for one model; whether that thinks is found out once, and remembered.

    It does if a prompt ends with what opens a thought, or if the first choice with hardly any mass
    turns out to begin with one. A thought has at most `budget` tokens (1024 without one), and is then
    closed.
    """

    def __init__(self, budget: int | None = None) -> None:
        self._budget = budget or _BUDGET
        self._thinks: bool | None = None
        self._finding = asyncio.Lock()

    async def choose(
        self,
        model: TokenModel,
        encoder: ChatEncoder,
        messages: Conversation,
        choices: tuple[str, ...],
        priority: int = 0,
    ) -> Choice:
        """Probability of each choice, with thought where the model thinks. Raises as the model and
        `encode` do."""
        prompt = encoder.encode(messages)
        candidates = encoder.choice_token_ids(choices)

        async def read(ids: list[int]) -> Choice:
            masses = await model.masses(ids, candidates, priority)
            return Choice.of_masses(masses.values, len(ids), masses.cached_tokens)

        async def think() -> list[int] | None:
            return await self._thought(model, encoder, prompt, priority)

        if self._thinks or encoder.opening(prompt):
            return await read(prompt + (await think() or []))
        plain = await read(prompt)
        if self._thinks is False or not plain.mass < ENOUGH_MASS or not self._room(encoder, prompt):
            return plain
        async with self._finding:
            if self._thinks is None:
                thought = await think()
                self._thinks = thought is not None
                return plain if thought is None else await read(prompt + thought)
        return await read(prompt + (await think() or [])) if self._thinks else plain

    async def _thought(
        self, model: TokenModel, encoder: ChatEncoder, prompt: list[int], priority: int
    ) -> list[int] | None:
        """What the model generates up to where its answer begins; None if that is no thought, or
        there is no room for one."""
        most = self._room(encoder, prompt)
        if not most:
            return None
        sampling = Sampling(max_tokens=most, temperature=0.0)
        sampled = await model.sample(prompt, Request((), sampling, seed=0, priority=priority))
        ids = list(sampled.ids)
        start = encoder.answer_start(prompt, ids)
        if start is not None:
            return ids[:start]
        closing = encoder.closing(prompt, ids)
        return None if closing is None else ids + closing

    def _room(self, encoder: ChatEncoder, prompt: list[int]) -> int:
        """Tokens that a thought may have."""
        return max(0, min(self._budget, encoder.context - len(prompt) - _CLOSING))
