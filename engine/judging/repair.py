"""Repair and damage, the two numbers of a critique-revise system, on a constitution's own tests.

The loop starts from each test's answers instead of the policy's: from a violating one (is it
repaired?) and from a compliant one (is it left as good?). A check decides exactly where a principle
has one, else the judge of the loop does, and then the records must be read.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from constitution.schema import Constitution, Principle
from constitution.selection import applicable, draw_profile
from engine.generators.vllm_platform import cache_directory
from engine.judging.calibrate import calibrated
from engine.judging.repair_figures import FailedStart, LoopTestResult, LoopTests, Start
from engine.loop.asking import Asking, counting
from engine.loop.critique_revise import critique_and_revise
from engine.messages import Message
from engine.prompts.sources import Prompt
from engine.records import Failure
from engine.runs.scheduler import Window, each_prompt
from engine.settings import LoopSettings, Roles
from engine.storage.cached_generator import behind_cache
from engine.storage.completion_cache import CompletionCache

__all__ = ["run_loop_tests", "starts_of"]

_CACHE = "loop-tests.sqlite"


def starts_of(
    constitution: Constitution, principles: Iterable[Principle], settings: LoopSettings
) -> list[Start]:
    """Every answer of every test of `principles`. A test's prompt has the tags that its principle asks
    for; where the stakeholder of the settings leaves the principle out, so are its tests."""
    found: list[Start] = []
    for principle in principles:
        for number, test in enumerate(principle.tests, 1):
            for violating, answers in ((True, test.violating), (False, test.compliant)):
                kind = "violating" if violating else "compliant"
                for place, answer in enumerate(answers, 1):
                    prompt = Prompt(
                        f"{principle.id}/{number}/{kind}/{place}",
                        len(found),
                        (Message("user", test.prompt),),
                        principle.applies_to.tags,
                    )
                    if principle in _applying(constitution, prompt, settings):
                        start = Start(principle, number, violating, place, answer, prompt)
                        found.append(start)
    return found


async def run_loop_tests(
    constitution: Constitution,
    starts: Sequence[Start],
    roles: Roles,
    settings: LoopSettings,
    on_progress: Callable[[int], None] = lambda done: None,
    *,
    alone: bool = False,
) -> LoopTests:
    """The loop from each of `starts`, and what is made of them. What was asked before is remembered.
    Where each principle stands `alone`, an answer is held against its own and no other.

    Raises InputError for a judge that must decide and cannot (see `calibrated`), GeneratorUnavailable
    when a model is gone.
    """
    by_id = {start.prompt.id: start for start in starts}
    results: list[LoopTestResult] = []
    failed: list[FailedStart] = []
    async with _remembered(roles, cache_directory() / _CACHE) as cast:
        # Whatever the loop itself asks of the judge, here it decides.
        deciding = settings.model_copy(update={"accept": "better"})
        cast, calibration = await calibrated(cast, constitution, deciding, elsewhere=not alone)

        async def one(prompt: Prompt, came_back: Callable[[int], None]) -> LoopTestResult:
            start, rules = by_id[prompt.id], constitution
            if alone:
                rules = rules.model_copy(update={"principles": (start.principle,)})
            return await _started_from(start, rules, cast, settings, came_back)

        tokens = 3 * roles.policy.sampling.max_tokens
        window = Window(cast.generators, expected_tokens=tokens, total=len(starts))
        prompts = [start.prompt for start in starts]
        async with aclosing(each_prompt(prompts, one, window)) as found:
            async for result in found:
                if isinstance(result, Failure):
                    failed.append(FailedStart(by_id[result.id], result))
                else:
                    results.append(result)
                on_progress(len(results) + len(failed))
    results.sort(key=lambda result: result.start.prompt.row)
    failed.sort(key=lambda each: each.start.prompt.row)
    return LoopTests(tuple(results), tuple(failed), calibration)


async def _started_from(
    start: Start,
    constitution: Constitution,
    roles: Roles,
    settings: LoopSettings,
    came_back: Callable[[int], None],
) -> LoopTestResult:
    on_step, prompt = counting(came_back), start.prompt
    record = await critique_and_revise(
        prompt, constitution, roles, settings, answer=start.answer, on_step=on_step
    )
    if record.final == record.answer:
        return LoopTestResult(start, record)
    asking = Asking(prompt, constitution, roles, settings, on_step)
    principles = _applying(constitution, prompt, settings)
    before = await asking.verdicts(principles, record.answer)
    after = await asking.verdicts(principles, record.final)
    kept = {v.principle for v in before if v.violates is False} - {start.principle.id}
    return LoopTestResult(
        start,
        record,
        verdict=next(v for v in after if v.principle == start.principle.id),
        broke=tuple(v.principle for v in after if v.principle in kept and v.violates),
        undecided=tuple(v.principle for v in after if v.principle in kept and v.violates is None),
    )


def _applying(
    constitution: Constitution, prompt: Prompt, settings: LoopSettings
) -> list[Principle]:
    profile = draw_profile(settings.stakeholder, prompt_id=prompt.id, seed=settings.seed)
    return [principle for principle, _ in applicable(constitution, prompt.tags, profile)]


@asynccontextmanager
async def _remembered(roles: Roles, file: Path) -> AsyncIterator[Roles]:
    """The roles behind one completion cache; each model is closed in the end, if it was started."""
    with CompletionCache(file) as cache:
        models, generators = behind_cache(dict(roles), cache)
        try:
            yield Roles(**models)
        finally:
            for generator in generators:
                await generator.close()
