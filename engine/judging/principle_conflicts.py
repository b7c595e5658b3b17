"""A judge asked of pairs of principles whether they pull against each other.

Each pair is asked about twice, with the principles and the answers to choose from in either order,
so that a judge that prefers a place, or a letter, says yes only once.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from constitution.lint import Conflict, Pair, own_principles, pairs_that_meet
from constitution.loader import load_constitution
from constitution.schema import Constitution
from engine.generators.base import GenerationError, Generator
from engine.generators.vllm_platform import cache_directory
from engine.judging.judge import why_unanswered
from engine.loop.rendering import conflict_messages
from engine.runs.scheduler import ask_each
from engine.storage.cached_generator import remembering

__all__ = ["PairAnswer", "PairQuestions", "judge_files", "judge_pairs", "questions_of"]

_CHOICES = ("A", "B")
_MOST = 1_000
"""Pairs of a file; of more than that, those with the most words in common."""
_CACHE = "principle-pairs.sqlite"


@dataclass(frozen=True, slots=True)
class PairQuestions:
    """The pairs of a file's own principles to ask about, and how many more there are."""

    constitution: Constitution
    pairs: list[Pair]
    left_out: int


def questions_of(file: str) -> PairQuestions:
    """Raises InputError as `load_constitution` does."""
    loaded = load_constitution(file)
    pairs = pairs_that_meet(loaded, own_principles(file))
    return PairQuestions(loaded, pairs[:_MOST], len(pairs[_MOST:]))


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
) -> AsyncGenerator[PairAnswer, None]:
    """Ask about every pair; answers come as they finish.

    A judge that cannot be asked, or whose probability of giving either letter is below
    `ENOUGH_MASS`, gave no answer. Raises GeneratorUnavailable when the judge is gone.
    """

    async def asked(pair: Pair, *, swapped: bool) -> float | None:
        first, second = reversed(pair) if swapped else pair
        messages = conflict_messages(constitution, first, second, swapped=swapped)
        choice = await judge.choose(messages, _CHOICES)
        return None if why_unanswered(choice) else choice.probabilities[swapped]

    async def one(pair: Pair) -> PairAnswer:
        try:
            first, second = await asked(pair, swapped=False), await asked(pair, swapped=True)
        except GenerationError:
            return PairAnswer(pair, None)
        both = None if first is None or second is None else (first, second)
        return PairAnswer(pair, both)

    return ask_each(pairs, one, judge, total=len(pairs))


async def judge_files(
    questions: Mapping[str, PairQuestions],
    judge: Generator,
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[str, list[PairAnswer]]:
    """Ask about the pairs of every file, and remember: what was asked before is not asked again.

    Raises GeneratorUnavailable when the judge is gone.
    """
    answers: dict[str, list[PairAnswer]] = {file: [] for file in questions}
    async with remembering(judge, cache_directory() / _CACHE) as asked:
        for file, of_file in questions.items():
            async with aclosing(judge_pairs(of_file.constitution, of_file.pairs, asked)) as found:
                async for answer in found:
                    answers[file].append(answer)
                    on_progress(sum(map(len, answers.values())))
    return answers
