"""A judge asked of pairs of principles whether they pull against each other.

Each pair is asked about twice, with the principles and the answers to choose from in either order,
so that a judge that prefers a place, or a letter, says yes only once.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from constitution.lint.conflicts import Conflict, Pair
from constitution.schema import Constitution
from engine.generators.base import GenerationError, Generator
from engine.judging.preference import answered
from engine.loop.rendering import conflict_messages
from engine.runs.scheduler import ask_each

__all__ = ["PairAnswer", "judge_pairs"]

_CHOICES = ("A", "B")


@dataclass(frozen=True, slots=True)
class PairAnswer:
    """What the judge says of two principles."""

    pair: Pair
    probabilities: tuple[float, float] | None
    """That they pull against each other, asked in either order; None if it gave no answer."""

    @property
    def conflict(self) -> Conflict | None:
        """The conflict, if the judge says in both orders that there is one."""
        if self.probabilities is None or min(self.probabilities) <= 0.5:
            return None
        one, other = self.pair
        return Conflict(one.id, other.id, sum(self.probabilities) / 2)


def judge_pairs(
    constitution: Constitution,
    pairs: Sequence[Pair],
    judge: Generator,
    *,
    smallest_mass: float = 0.05,
) -> AsyncGenerator[PairAnswer, None]:
    """Ask about every pair; answers come as they finish.

    A judge that cannot be asked, or whose probability of giving either letter is below
    `smallest_mass`, gave no answer. Raises GeneratorUnavailable when the judge is gone.
    """

    async def asked(pair: Pair, *, swapped: bool) -> float | None:
        first, second = reversed(pair) if swapped else pair
        messages = conflict_messages(constitution, first, second, swapped=swapped)
        choice = await judge.choose(messages, _CHOICES)
        return choice.probabilities[swapped] if answered(choice, smallest_mass) else None

    async def one(pair: Pair) -> PairAnswer:
        try:
            first, second = await asked(pair, swapped=False), await asked(pair, swapped=True)
        except GenerationError:
            return PairAnswer(pair, None)
        both = None if first is None or second is None else (first, second)
        return PairAnswer(pair, both)

    return ask_each(pairs, one, judge, total=len(pairs))
