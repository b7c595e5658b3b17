"""The Python API: what the command does, in a few lines, with and without an event loop."""

import asyncio
import subprocess
import sys
import threading
from contextlib import aclosing

import pytest

import engine
from constitution.problems import InputError
from engine import Failure, Record, Roles, revise, revise_async
from engine.generators.base import GeneratorUnavailable
from engine.generators.scripted import ScriptedGenerator
from engine.settings import RoleModel
from tests.engine.builders import Replies, constitution, paper

RULES = constitution("one", "two")


def test_texts_in_records_out():
    records = list(revise(["Hello?", "And now?"], RULES, "scripted"))
    assert {r.prompt[0].content for r in records} == {"Hello?", "And now?"}
    assert all(isinstance(r, Record) for r in records)


def test_async_and_sync_give_the_same_records():
    async def gather():
        return [r async for r in revise_async(["a", "b", "c"], RULES, ScriptedGenerator())]

    found = sorted(asyncio.run(gather()), key=lambda r: r.id)
    assert found == sorted(revise(["a", "b", "c"], RULES, "scripted"), key=lambda r: r.id)


def test_prompts_are_streamed():
    drawn = 0

    def endless():
        nonlocal drawn
        while True:
            drawn += 1
            yield f"Question {drawn}?"

    results = revise(endless(), RULES, "scripted")
    assert [isinstance(next(results), Record) for _ in range(3)] == [True] * 3
    results.close()
    assert drawn < 1000
    assert not [t for t in threading.enumerate() if t.name == "solon-revise"]


def test_leaving_early_does_not_wait_for_what_is_under_way():
    ended = []

    class Endless(ScriptedGenerator):
        async def generate(self, request):
            asked.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append(request)

    async def leave():
        async with aclosing(revise_async(["Hello?"], RULES, Endless())) as results:
            first = asyncio.ensure_future(anext(results))
            await asked.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first

    asked = asyncio.Event()
    asyncio.run(leave())
    assert len(ended) == 1


def test_with_out_the_same_call_resumes(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "b"}\n', encoding="utf-8")
    first = list(revise(path, RULES, "scripted", out=tmp_path / "run"))
    assert len(first) == 2
    assert list(revise(path, RULES, "scripted", out=tmp_path / "run")) == []


def test_with_out_prompts_must_be_a_file(tmp_path):
    with pytest.raises(TypeError, match="file"):
        list(revise(["a"], RULES, "scripted", out=tmp_path / "run"))


def test_errors_reach_the_caller():
    with pytest.raises(InputError):
        list(revise(["a"], RULES, "no-such-model"))
    with pytest.raises(InputError):
        list(revise([{"id": "x"}], RULES, "scripted"))

    class Gone(Replies):
        async def generate(self, request):
            raise GeneratorUnavailable("gone")

    with pytest.raises(GeneratorUnavailable, match="gone"):
        list(revise(["a"], RULES, Gone(lambda request: "")))


def test_roles_and_settings_are_taken():
    model = RoleModel(ScriptedGenerator())
    cast = Roles(model, model, model, model)
    settings = paper(rounds=2, final_check=False)
    (record,) = revise(["a"], RULES, cast, settings=settings)
    assert not isinstance(record, Failure)
    assert len(record.rounds) == 2
    assert record.final_verdicts == ()


def test_every_exported_name_exists_and_is_documented():
    for name in engine.__all__:
        value = getattr(engine, name)
        assert getattr(value, "__doc__", None), name


def test_the_example_runs(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "first", "prompt": "a"}\n', encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "scripts/example_batch.py", str(path), str(tmp_path / "run"), "scripted"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": "."},
    )
    assert result.stdout == "first revised\n"
