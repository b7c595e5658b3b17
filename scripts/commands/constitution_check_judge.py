"""What `solon constitution check --judge` does: ask about pairs of principles, and remember."""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import typer

from constitution.lint import Conflict, Pair, own_principles, pairs_that_meet
from constitution.loader import load_constitution
from constitution.problems import InputError
from constitution.schema import Constitution
from constitution.visible import visible
from engine.generators.base import Generator
from engine.generators.spec import open_generator
from engine.generators.vllm_platform import cache_directory
from engine.judging.principle_conflicts import PairAnswer, judge_pairs
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from scripts.commands.terminal import error_console, run_interruptibly

__all__ = ["conflicts_by_file"]

_CACHE = "principle-pairs.sqlite"
_MOST = 1_000
"""Pairs of a file; of more than that, those with the most words in common."""

_Question = tuple[str, Constitution, list[Pair]]


def conflicts_by_file(
    files: Sequence[str], judge: str, chat_template: Path | None
) -> dict[str, list[Conflict]]:
    """Ask the judge about the pairs of each file that is valid; says on standard error how many
    were asked about, and how many of them got no answer."""
    generator: Generator = open_generator(judge, chat_template=chat_template)
    questions = [question for file in dict.fromkeys(files) if (question := _question(file))]
    if not any(pairs for _, _, pairs in questions):
        return {}
    answers = run_interruptibly(_ask(questions, generator), lambda: None)
    for file, found in answers.items():
        silent = sum(answer.probabilities is None for answer in found)
        note = f", {silent:,} without an answer" if silent else ""
        _say(f"{file}: pairs of principles judged: {len(found):,}{note}")
    return {
        file: [answer.conflict for answer in found if answer.conflict]
        for file, found in answers.items()
    }


def _question(file: str) -> _Question | None:
    """The pairs to ask about; None for a file that the check itself will refuse."""
    try:
        loaded = load_constitution(file)
    except InputError:
        return None
    pairs = pairs_that_meet(loaded, own_principles(file))
    if len(pairs) > _MOST:
        told = f"{file}: {len(pairs) - _MOST:,} of {len(pairs):,} pairs are left out"
        _say(f"{told}: those with the fewest words in common")
    return file, loaded, pairs[:_MOST]


def _say(text: str) -> None:
    typer.echo(visible(text), err=True)


async def _ask(questions: Sequence[_Question], generator: Generator) -> dict[str, list[PairAnswer]]:
    answers: dict[str, list[PairAnswer]] = {}
    total, done = sum(len(pairs) for _, _, pairs in questions), 0
    with CompletionCache(cache_directory() / _CACHE) as cache:
        judge = CachedGenerator(generator, cache)
        try:
            with error_console().status(f"asking {visible(generator.spec)}") as status:
                for file, loaded, pairs in questions:
                    found = answers.setdefault(file, [])
                    asking = judge_pairs(loaded, pairs, judge)
                    async with aclosing(asking):
                        async for answer in asking:
                            found.append(answer)
                            done += 1
                            status.update(f"{done:,} of {total:,} pairs of principles")
        finally:
            await judge.close()
    return answers
