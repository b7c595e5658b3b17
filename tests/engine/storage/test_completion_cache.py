"""The completion cache: nothing put is lost or mistaken for something else."""

import asyncio
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    Request,
    Sampling,
    Score,
)
from engine.messages import Message, TokenIds
from engine.storage import sqlite as sqlite_store
from engine.storage.atomic import StorageFull
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache, choice_key, completion_key, score_key

COUNT = st.integers(0, 2**31)
TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
TOKENS = st.builds(TokenIds, TEXT, st.lists(st.integers(0, 2**32 - 1)).map(tuple))
ENDS = st.sampled_from(["stop", "length"])
COMPLETIONS = st.builds(
    Completion, TEXT, ENDS, COUNT, COUNT, COUNT, st.none() | TOKENS, st.none() | TEXT
)
CHOICES = st.builds(
    Choice, st.lists(st.floats(0, 1), min_size=1).map(tuple), st.floats(0, 1), COUNT, COUNT, COUNT
)
MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["system", "user", "assistant"]), st.text("ab:1\0")),
    max_size=4,
).map(tuple)
REQUEST = Request((Message("user", "hi"),), Sampling(temperature=1.0), seed=1)


@settings(max_examples=20, deadline=None)
@given(completions=st.lists(COMPLETIONS, max_size=5), choices=st.lists(CHOICES, max_size=5))
def test_reopened_cache_returns_what_was_put(tmp_path_factory, completions, choices):
    path = tmp_path_factory.mktemp("cache") / "completions.sqlite"
    with CompletionCache(path) as cache:
        for number, completion in enumerate(completions):
            cache.put(b"completion%d" % number, completion)
        for number, choice in enumerate(choices):
            cache.put(b"choice%d" % number, choice)
    with CompletionCache(path) as cache:
        for number, completion in enumerate(completions):
            assert cache.get(b"completion%d" % number, Completion) == completion
        for number, choice in enumerate(choices):
            assert cache.get(b"choice%d" % number, Choice) == choice


@given(one=MESSAGES, other=MESSAGES, choices=st.lists(st.text("ab:1"), min_size=2, max_size=3))
def test_keys_differ_exactly_when_messages_do(one, other, choices):
    requests = [replace(REQUEST, messages=messages) for messages in (one, other)]
    keys = [completion_key("model", request) for request in requests]
    assert (keys[0] == keys[1]) == (one == other)
    keys = [choice_key("model", messages, tuple(choices)) for messages in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("user", "ab"), ("user", "a", "user", "b")),
        (("user", "a", "assistant", "b"), ("user", "a9:assistant1:b")),
        (("user", "a", "assistant", ""), ("user", "a")),
    ],
)
def test_text_moved_across_message_boundaries_changes_the_key(one, other):
    keys = set()
    for turns in (one, other):
        messages = tuple(map(Message, turns[::2], turns[1::2]))
        keys.add(completion_key("m", replace(REQUEST, messages=messages)))
    assert len(keys) == 2


def test_key_covers_everything_that_moves_an_answer():
    sampled = [
        replace(REQUEST, sampling=REQUEST.sampling.model_copy(update={name: 0.25}))
        for name in Sampling.model_fields
    ]
    keys = [completion_key("m", request) for request in (REQUEST, *sampled)]
    keys += [completion_key("m", replace(REQUEST, seed=2)), completion_key("n", REQUEST)]
    keys += [choice_key("m", REQUEST.messages, ("A", "B"))]
    keys += [choice_key("m", REQUEST.messages, ("B", "A"))]
    keys += [choice_key("m", REQUEST.messages, ("AB",))]
    assert len(set(keys)) == len(keys)


def test_key_ignores_priority_token_ids_and_number_types():
    marked = (Message("user", "hi", TokenIds("t", (1,))),)
    same = Request(marked, Sampling(temperature=1), seed=1, priority=9)
    assert completion_key("m", same) == completion_key("m", REQUEST)


def test_a_score_is_of_the_answers_own_tokens():
    def key(tokens, model="m"):
        return score_key(model, (*REQUEST.messages, Message("assistant", "b", tokens)))

    keys = [key(None), key(TokenIds("t", (1,))), key(TokenIds("t", (1, 2))), key(None, "n")]
    assert len({*keys, score_key("m", REQUEST.messages)}) == 5
    assert key(TokenIds("t", (1,))) == keys[1]


@given(st.builds(Score, st.lists(st.floats(max_value=0)).map(tuple), COUNT))
def test_scores_come_back_as_they_were_put(score):
    cache = CompletionCache(None)
    cache.put(b"k", score)
    assert cache.get(b"k", Score) == score


@pytest.mark.parametrize("path", [None, "completions.sqlite"])
def test_put_is_seen_at_once(tmp_path, path):
    with CompletionCache(path and tmp_path / path) as cache:
        assert cache.get(b"k", Completion) is None
        cache.put(b"k", Completion("a", "stop"))
        assert cache.get(b"k", Completion) == Completion("a", "stop")


def test_more_than_may_wait_are_all_kept(tmp_path):
    count = sqlite_store.MAX_WAITING * 2
    with CompletionCache(tmp_path / "c.sqlite") as cache:
        put_many(cache, count)
        assert cache._store is not None
        assert len(cache._store._waiting) <= sqlite_store.MAX_WAITING
        cache.flush()
        with CompletionCache(tmp_path / "c.sqlite") as other:
            assert all(other.get(b"%d" % number, Completion) for number in range(count))


KILLED = """
import os, sys
from pathlib import Path
from engine.storage.completion_cache import CompletionCache
from engine.generators.base import Completion
cache = CompletionCache(Path(sys.argv[1]))
cache.put(b"flushed", Completion("a", "stop"))
cache.flush()
for number in range(2000):
    cache.put(b"%d" % number, Completion("b" * 500, "stop"))
os.kill(os.getpid(), 9)
"""


def test_killed_while_writing_leaves_a_cache_that_opens(tmp_path):
    path = tmp_path / "c.sqlite"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    with CompletionCache(path) as cache:
        assert cache.get(b"flushed", Completion) == Completion("a", "stop")


def test_damaged_and_foreign_files_are_refused_and_left_alone(tmp_path):
    noise = tmp_path / "noise.sqlite"
    noise.write_bytes(b"not a database, but long enough to look like one" * 100)
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    for path in (noise, foreign):
        before = path.read_bytes()
        with pytest.raises(InputError, match=r"move the file aside.*generated again"):
            CompletionCache(path)
        assert path.read_bytes() == before


def test_folder_that_is_missing_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="folder that exists"):
        CompletionCache(tmp_path / "nowhere" / "c.sqlite")


def test_damaged_entries_are_misses(tmp_path):
    tokens = TokenIds("t", (1, 2, 3))
    with CompletionCache(tmp_path / "c.sqlite") as cache:
        cache.put(b"completion", Completion("", "stop", tokens=tokens))
        cache.put(b"choice", Choice((0.5, 0.5), 1.0))
        cache.put(b"score", Score((-0.5, -1.0), 3))
    with CompletionCache(tmp_path / "c.sqlite") as cache:
        assert cache.get(b"completion", Completion) is not None
        assert cache.get(b"choice", Choice) is not None
    connection = sqlite3.connect(tmp_path / "c.sqlite")
    connection.execute("UPDATE entries SET value = substr(value, 1, length(value) - 1)")
    connection.execute("INSERT INTO entries VALUES (?, ?)", (b"reason", b"\xff" * 21))
    connection.execute("INSERT INTO entries VALUES (?, ?)", (b"empty", b""))
    connection.commit()
    connection.close()
    with CompletionCache(tmp_path / "c.sqlite") as cache:
        assert cache.get(b"completion", Completion) is cache.get(b"reason", Completion) is None
        assert cache.get(b"choice", Choice) is cache.get(b"empty", Choice) is None
        assert cache.get(b"score", Score) is cache.get(b"empty", Score) is None


def test_a_file_that_another_process_holds_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "LOCK_SECONDS", 0.01)
    CompletionCache(tmp_path / "c.sqlite").close()
    holder = sqlite3.connect(tmp_path / "c.sqlite")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InputError, match="held by another process"):
        CompletionCache(tmp_path / "c.sqlite")
    holder.close()


@pytest.mark.parametrize(("free", "kind"), [(0, StorageFull), (1 << 30, InputError)])
def test_a_disk_that_fails_is_told_from_one_that_is_full(tmp_path, monkeypatch, free, kind):
    CompletionCache(tmp_path / "c.sqlite").close()
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr(sqlite_store.shutil, "disk_usage", lambda path: usage)
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    def refuse(connection, path):
        raise failure

    monkeypatch.setattr(sqlite_store, "_refuse_foreign", refuse)
    with pytest.raises(kind):
        CompletionCache(tmp_path / "c.sqlite")


def put_many(cache, count):
    for number in range(count):
        cache.put(b"%d" % number, Completion("b" * 500, "stop"))


def test_full_disk_reaches_the_caller_and_keeps_what_was_written(tmp_path, monkeypatch):
    path = tmp_path / "c.sqlite"
    with CompletionCache(path) as cache:
        cache.put(b"first", Completion("a", "stop"))
    pragmas = (*sqlite_store.PRAGMAS, "PRAGMA max_page_count = 40")
    monkeypatch.setattr(sqlite_store, "PRAGMAS", pragmas)
    cache = CompletionCache(path)
    with pytest.raises(StorageFull, match="no space left"):
        put_many(cache, sqlite_store.MAX_WAITING * 3)
    with pytest.raises(StorageFull):
        cache.flush()
    with pytest.raises(StorageFull):
        cache.close()
    monkeypatch.undo()
    with CompletionCache(path) as cache:
        assert cache.get(b"first", Completion) == Completion("a", "stop")


class Model:
    """Counts what it is asked; a prompt of "fail" fails while `failures` are left."""

    spec = "model"
    fingerprint = "model"
    capacity = Capacity(sequences=3)

    def __init__(self) -> None:
        self.starts = self.asked = self.failures = 0
        self.closed = False

    async def start(self):
        self.starts += 1
        await asyncio.sleep(0)

    async def generate(self, request):
        self.asked += 1
        await asyncio.sleep(0.01)
        if self.failures:
            self.failures -= 1
            raise GenerationError(FailureReason.TIMEOUT, "too slow")
        return Completion("answer", "stop", 5, 2, 7)

    async def choose(self, messages, choices, *, priority=0):
        self.asked += 1
        return Choice((0.5, 0.5), 1.0, 3, 1)

    async def score(self, messages, *, priority=0):
        self.asked += 1
        return Score((-1.0, -2.5), 4)

    async def close(self):
        self.closed = True


def test_second_time_nothing_is_generated_or_even_started():
    cache = CompletionCache(None)
    first, second = Model(), Model()

    async def ask(model):
        generator = CachedGenerator(model, cache)
        await generator.start()
        await generator.generate(REQUEST)
        await generator.choose(REQUEST.messages, ("A", "B"))
        await generator.close()
        return generator.counts

    generated, cached = asyncio.run(ask(first)), asyncio.run(ask(second))
    assert (first.starts, first.asked, first.closed) == (1, 2, True)
    assert (second.starts, second.asked, second.closed) == (0, 0, False)
    assert (generated.generated_requests, generated.cached_requests) == (2, 0)
    assert (generated.prompt_tokens, generated.cached_prompt_tokens) == (8, 3)
    assert generated.completion_tokens == 7
    assert (cached.generated_requests, cached.cached_requests, cached.prompt_tokens) == (0, 2, 0)


def test_scores_are_kept_too():
    model = Model()
    generator = CachedGenerator(model, CompletionCache(None))
    messages = (*REQUEST.messages, Message("assistant", "b"))

    async def ask():
        return [await generator.score(messages) for _ in range(3)]

    assert asyncio.run(ask()) == [Score((-1.0, -2.5), 4)] * 3
    assert model.asked == 1
    assert (generator.counts.prompt_tokens, generator.counts.cached_requests) == (6, 2)


def test_a_successor_closes_the_last_model_when_its_own_starts():
    cache, models = CompletionCache(None), [Model() for _ in range(3)]
    models[1].fingerprint, models[2].fingerprint = "second", "third"
    first, second, third = (CachedGenerator(model, cache) for model in models)

    async def ask():
        await first.generate(REQUEST)
        second.succeed(first)
        third.succeed(second)
        assert not models[0].closed
        await third.generate(REQUEST)
        assert (models[0].closed, models[1].starts, models[2].starts) == (True, 0, 1)
        await third.close()

    asyncio.run(ask())
    assert models[2].closed
    assert not models[1].closed


def test_a_successor_that_never_starts_closes_the_last_model():
    cache, model = CompletionCache(None), Model()
    first, second = CachedGenerator(model, cache), CachedGenerator(Model(), cache)

    async def ask():
        await first.generate(REQUEST)
        second.succeed(first)
        await second.generate(REQUEST)
        await second.close()
        await second.close()

    asyncio.run(ask())
    assert model.closed
    assert model.starts == 1


def test_equal_requests_at_once_are_generated_once_and_start_once():
    model = Model()
    generator = CachedGenerator(model, CompletionCache(None))

    async def ask():
        seeds = [1, 1, 1, 2]
        await asyncio.gather(*(generator.generate(replace(REQUEST, seed=seed)) for seed in seeds))

    asyncio.run(ask())
    assert (model.starts, model.asked) == (1, 2)
    assert (generator.counts.generated_requests, generator.counts.cached_requests) == (2, 2)
    assert generator.capacity == Capacity(sequences=3)


def test_another_waiter_generates_when_the_first_is_cancelled_or_fails():
    model = Model()
    model.failures = 1
    generator = CachedGenerator(model, CompletionCache(None))

    async def ask():
        tasks = [asyncio.create_task(generator.generate(REQUEST)) for _ in range(4)]
        while not model.asked:
            await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(ask())
    assert isinstance(results[0], asyncio.CancelledError)
    assert isinstance(results[2], asyncio.CancelledError)
    assert isinstance(results[1], GenerationError)
    assert results[3] == Completion("answer", "stop", 5, 2, 7)
    assert generator._in_flight == {}


def test_cache_file_is_one_database(tmp_path):
    path = Path(tmp_path / "c.sqlite")
    with CompletionCache(path) as cache:
        cache.put(b"k", Completion("a", "stop"))
    assert [file.name for file in tmp_path.iterdir()] == ["c.sqlite"]
