"""Many conversations: bounded, in order of finishing, and clean when they end early."""

import asyncio
from contextlib import aclosing

import pytest

from engine.generators.base import Capacity, FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.scripted import Script, ScriptedGenerator
from engine.records import Failure, Record
from engine.runs.scheduler import Window, revise_all, stream
from engine.settings import LoopSettings, roles
from tests.engine.builders import Replies, constitution, prompts


def collect(items, work, size):
    async def gather():
        return [result async for result in stream(items, work, Window((), size=size))]

    return asyncio.run(gather())


def test_no_more_than_the_window_is_under_way_and_nothing_is_lost():
    under_way = most = 0

    async def work(item):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (item % 3))
        under_way -= 1
        return item

    assert sorted(collect(range(50), work, 7)) == list(range(50))
    assert most == 7


def test_items_are_drawn_only_as_they_are_admitted():
    drawn = 0

    def items():
        nonlocal drawn
        for item in range(1000):
            drawn += 1
            yield item

    async def work(item):
        await asyncio.sleep(0)
        return item

    async def first_three():
        async with aclosing(stream(items(), work, Window((), size=4))) as results:
            taken = [await anext(results) for _ in range(3)]
        return taken

    assert len(asyncio.run(first_three())) == 3
    assert drawn <= 12


def test_results_come_as_they_finish():
    others = []

    async def work(item):
        while item == 0 and len(others) < 2:
            await asyncio.sleep(0)
        others.append(item)
        return item

    assert collect(range(3), work, 3)[-1] == 0


def test_an_early_end_cancels_what_is_under_way():
    cancelled = []

    async def work(item):
        try:
            await asyncio.sleep(0 if item == 0 else 60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    async def take_one():
        async with aclosing(stream(range(10), work, Window((), size=5))) as results:
            await anext(results)

    asyncio.run(take_one())
    assert len(cancelled) >= 3


def test_one_failed_conversation_is_data_and_the_others_go_on():
    def reply(request):
        if "number 3?" in request.messages[0].content:
            return GenerationError(FailureReason.CONTEXT_OVERFLOW, "too long")
        return f"Reply to {len(request.messages)} turns, seed {request.seed}."

    results = run_all(Replies(reply), 8)
    failures = [r for r in results if isinstance(r, Failure)]
    assert len(results) == 8
    assert [(f.id, f.stage, f.reason, f.retryable) for f in failures] == [
        ("p3", "policy", "context_overflow", False)
    ]


def test_an_engine_that_is_gone_ends_the_stream():
    class Gone(Replies):
        async def generate(self, request):
            if request.priority > 4:
                raise GeneratorUnavailable("the server is gone")
            return await super().generate(request)

    with pytest.raises(GeneratorUnavailable, match="gone"):
        run_all(Gone(lambda request: f"Reply {request.seed}."), 12)


def run_all(generator, count):
    async def gather():
        found = revise_all(
            prompts(count), constitution("one", "two"), roles(generator), LoopSettings()
        )
        return [result async for result in found]

    return asyncio.run(gather())


def test_every_prompt_gets_exactly_one_result():
    results = run_all(ScriptedGenerator(), 200)
    assert sorted(r.row for r in results) == list(range(200))
    assert all(isinstance(r, Record) for r in results)


class Holds:
    def __init__(self, kv_tokens=None, sequences=None):
        self.capacity = Capacity(kv_tokens, sequences)


def grown(window):
    window.conversation_ended(0)
    for _ in range(5000):
        window.turn_came_back()
    return window.size


def test_the_window_follows_the_kv_cache_and_learns_how_long_conversations_get():
    window = Window([Holds(kv_tokens=100_000, sequences=256)], expected_tokens=1000)
    assert grown(window) == 110
    for _ in range(99):
        window.conversation_ended(2000)
    assert window.size == pytest.approx(100_000 / 2000 * 1.1, rel=0.05)
    for _ in range(2000):
        window.conversation_ended(100)
    assert grown(window) == round(256 * 1.1)


def test_several_engines_hold_what_each_of_them_holds():
    engines = [Holds(sequences=100), Holds(kv_tokens=40_000), Holds(kv_tokens=90_000, sequences=20)]
    assert grown(Window(engines, expected_tokens=1000)) == 100 + 44 + 22
    alone = [grown(Window([engine], expected_tokens=1000)) for engine in engines]
    assert alone == [100, 44, 22]


def test_conversations_with_several_requests_at_a_time_share_what_the_engines_hold():
    engines = [Holds(sequences=100), Holds(sequences=50)]
    assert grown(Window(engines, requests=5)) == (100 + 50) // 5


def test_roles_that_share_an_engine_hold_it_once():
    policy, critic = Holds(sequences=40), Holds(sequences=60)
    assert grown(Window(roles(policy).generators)) == 40
    assert grown(Window(roles(policy, critic=critic).generators)) == 40 + 60


def test_admission_starts_with_a_few_and_grows_once_the_first_has_ended():
    window = Window([Holds(kv_tokens=640_000, sequences=640)], expected_tokens=1000)
    first = window.size
    assert first == 22
    woken = []
    window.on_growth(lambda: woken.append(window.size))
    window.turn_came_back()
    assert window.size == first
    window.conversation_ended(0)
    for _ in range(10):
        window.turn_came_back()
    assert woken == list(range(first + 2, first + 22, 2))


def test_turns_under_way_add_up_to_conversations_of_the_usual_length():
    window = Window([Holds()])
    for _ in range(6):
        window.turn_came_back()
    assert window.half_done == 0
    window.conversation_ended(100, turns=4)
    assert window.half_done == 0.5
    window.conversation_ended(100, turns=2)
    assert window.half_done == 0
    window.turn_came_back()
    window.conversation_ended(0, turns=0)
    assert window.half_done == pytest.approx(0.5)


def test_a_batch_that_has_ended_has_nothing_half_done():
    window = Window([Holds()])

    async def run():
        cast, rules = roles(ScriptedGenerator()), constitution("one", "two")
        results = revise_all(prompts(30), rules, cast, LoopSettings(), window=window)
        return [result async for result in results]

    assert len(asyncio.run(run())) == 30
    assert window.half_done == 0


def test_the_window_has_a_floor_and_can_be_fixed():
    assert Window([Holds(kv_tokens=10)]).size == 4
    fixed = Window([Holds(kv_tokens=10)], size=3)
    fixed.turn_came_back()
    assert fixed.size == 3
    assert grown(Window([Holds()])) > 8


def test_a_handful_of_conversations_starts_at_once():
    few, many = (Window([Holds(kv_tokens=10**6)], total=total) for total in (24, 240))
    assert few.size >= 24
    assert many.size < 64
    assert Window([Holds(kv_tokens=10)], total=24).size == 4


def test_the_first_record_is_there_early():
    model = ScriptedGenerator(Script(delay=0.001))
    model.capacity = Capacity(sequences=64)
    done = []

    class Seen(Replies):
        capacity = Capacity(sequences=64)

        async def generate(self, request):
            done.append(request.priority)
            return await model.generate(request)

    async def first():
        cast = roles(Seen(lambda request: ""))
        found = revise_all(prompts(200), constitution("one"), cast, LoopSettings(final_check=False))
        async with aclosing(found) as results:
            await anext(results)
        return len(done)

    assert asyncio.run(first()) < 0.1 * 200 * 3
