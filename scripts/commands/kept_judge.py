"""A judge that is started, asked and stopped, and whose answers are kept where a directory is
given: the same questions, asked again, cost nothing."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from constitution.loader import load_constitution
from constitution.problems import InputError, Problem
from constitution.schema import Constitution
from engine.generators.base import Generator
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from engine.storage.lock import DirectoryLock

__all__ = ["only_principle", "started_judge"]


@asynccontextmanager
async def started_judge(judge: Generator, out: Path | None) -> AsyncIterator[Generator]:
    """`judge`, started, and closed in the end; with `out` behind `out/completions.sqlite`,
    which one process at a time writes. Raises InputError when another does."""
    with ExitStack() as stack:
        if out:
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(DirectoryLock(out))
            cache = stack.enter_context(CompletionCache(out / "completions.sqlite"))
            judge = CachedGenerator(judge, cache)
        await judge.start()
        try:
            yield judge
        finally:
            await judge.close()


def only_principle(file: str, principle: str | None) -> Constitution:
    """A constitution, cut down to one principle if one is named.

    Raises InputError for a principle that it does not have.
    """
    rules = load_constitution(file)
    if principle is None:
        return rules
    try:
        chosen = rules.principle(principle)
    except KeyError as error:
        known = ", ".join(p.id for p in rules.principles)
        what = f"{rules.name} has no principle `{principle}`"
        raise InputError(Problem("--principle", what, f"it has: {known}")) from error
    return rules.model_copy(update={"principles": (chosen,)})
