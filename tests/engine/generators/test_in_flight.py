"""Requests of one conversation go to one replica, and replicas have as many as each other."""

import asyncio
import gc
from contextlib import ExitStack

from engine.generators.in_flight import Ranks, conversation_in_flight, one_conversation
from engine.runs.scheduler import Window, stream


def test_a_conversation_stays_where_it_began():
    ranks = Ranks(3)
    with ExitStack() as held:
        assert [held.enter_context(ranks.taken()) for _ in range(2)] == [0, 1]
        with one_conversation():
            with ranks.taken() as home:
                assert home == 2
            for _ in range(5):
                assert held.enter_context(ranks.taken()) == home
        with one_conversation(), ranks.taken() as other:
            assert other == 0
    with ranks.taken() as rank:
        assert rank == 0


def test_what_has_ended_is_forgotten():
    ranks = Ranks(2)
    for _ in range(10):
        with one_conversation(), ranks.taken():
            assert len(ranks._homes) >= 1
    gc.collect()
    assert len(ranks._homes) == 0


def test_whatever_a_conversation_starts_belongs_to_it():
    async def work(item):
        async def key():
            await asyncio.sleep(0)
            return conversation_in_flight().key

        return {await key(), *await asyncio.gather(key(), key())}

    async def all_of_them():
        return [found async for found in stream(range(6), work, Window((), size=3))]

    found = asyncio.run(all_of_them())
    assert [len(keys) for keys in found] == [1] * 6
    assert len(set.union(*found)) == 6
    assert conversation_in_flight() is None
