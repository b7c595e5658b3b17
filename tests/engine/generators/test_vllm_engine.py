"""Engines that generators share, over an `AsyncLLM` that is scripted."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from engine.generators import vllm_platform
from engine.generators.base import Request, Sampling
from engine.generators.in_flight import one_conversation
from engine.generators.spec import open_generator
from engine.generators.vllm import VllmGenerator, share_engines
from engine.messages import Message
from engine.runs.config import LabelRoles
from engine.runs.scheduler import Window
from tests.engine.generators.test_vllm_adapter import ASKED, THOUGHT, Engine, _no_vllm, adapter

__all__ = ["_no_vllm"]

REQUEST = Request(ASKED, Sampling(max_tokens=9), seed=5)


@pytest.fixture
def started(monkeypatch):
    """The arguments of each engine that starts, and the engines."""
    found = []

    def start(spec, arguments):
        found.append((arguments, Engine(THOUGHT + "Yes<|im_end|>")))
        return found[-1][1]

    monkeypatch.setattr(vllm_platform, "start_engine", start)
    monkeypatch.setattr(vllm_platform, "require_vllm", lambda: None)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    return found


def adapter_files(folder, rank):
    folder.mkdir()
    text = json.dumps({"r": rank})
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    return folder


def test_a_policy_with_an_adapter_and_its_base_as_the_judge_share_an_engine(started, tmp_path):
    lora = adapter_files(tmp_path / "lora", 24)
    spec = f"vllm:org/name?lora={lora}&max_model_len=512"
    roles = LabelRoles(policy=spec, judge="vllm:org/name?max_model_len=512")
    opened = roles.open(Sampling())
    policy, judge = opened["policy"].generator, opened["judge"].generator
    assert policy.fingerprint != judge.fingerprint

    async def ask():
        for generator in (policy, judge):
            await generator.start()
            await generator.generate(REQUEST)
        await policy.close()
        stopped = started[0][1].stopped
        await judge.generate(REQUEST)
        await judge.close()
        return stopped

    assert asyncio.run(ask()) is False, "the judge still uses it"
    ((arguments, engine),) = started
    assert engine.stopped
    assert arguments["enable_lora"] and arguments["max_loras"] == 1
    assert arguments["max_lora_rank"] == 32, "the next that vLLM takes"
    assert "gpu_memory_utilization" not in arguments, "it is alone"
    assert [request for _, request in engine.sent] == [
        ("adapter-1", 1, str(lora)), None, None,
    ]  # fmt: skip


def test_two_adapters_of_a_base_are_in_one_engine(started, tmp_path):
    small, large = (adapter_files(tmp_path / name, r) for name, r in (("a", 8), ("b", 64)))
    models = [open_generator(f"vllm:org/name?lora={path}") for path in (small, large)]
    share_engines(models)

    async def ask():
        for model in models:
            await model.start()
            await model.generate(REQUEST)

    asyncio.run(ask())
    ((arguments, engine),) = started
    assert (arguments["max_loras"], arguments["max_lora_rank"]) == (2, 64)
    assert [request[1] for _, request in engine.sent] == [1, 2]


def test_roles_that_differ_in_how_they_think_share_an_engine(started, tmp_path):
    models = [open_generator(f"vllm:org/name{said}") for said in ("", "?thinking=off")]
    share_engines(models)
    assert models[0].serving is models[1].serving
    window = Window(models, expected_tokens=1)
    models[0].serving.adopt(Engine("Yes"), models[0])
    assert window._capacity() == round(8 * Window._SLACK), "what they share is counted once"


@pytest.mark.parametrize(("at_once", "share"), [(True, 0.44), (False, None)])
def test_engines_that_run_at_once_split_the_memory(started, at_once, share):
    models = [open_generator(f"vllm:org/{name}") for name in ("policy", "judge")]
    share_engines(models, at_once=at_once)

    async def start():
        for model in models:
            await model.start()

    asyncio.run(start())
    assert [a.get("gpu_memory_utilization") for a, _ in started] == [share, share]


def test_what_an_option_says_of_the_memory_stands(started):
    models = [open_generator(f"vllm:org/{name}?gpu_memory_utilization=0.3") for name in "ab"]
    share_engines(models)
    asyncio.run(models[0].start())
    assert started[0][0]["gpu_memory_utilization"] == 0.3


def test_an_engine_that_runs_is_left_alone():
    running, other = adapter(Engine("Yes")), VllmGenerator("org/name")
    engine = running.serving
    share_engines([other, running])
    assert running.serving is engine is not other.serving


def test_a_checkpoint_on_the_same_engine_takes_over_at_once(started, tmp_path):
    lora = adapter_files(tmp_path / "lora", 8)
    first, second = open_generator("vllm:org/name"), open_generator(f"vllm:org/name?lora={lora}")
    share_engines([first, second], at_once=False)

    async def one_after_the_other():
        await first.start()
        taken = await second.take_over(first)
        await first.close()
        await second.generate(REQUEST)
        return taken

    assert asyncio.run(one_after_the_other())
    assert len(started) == 1 and not started[0][1].stopped


def replicated(ranks):
    engine = Engine("Yes<|im_end|>", takes=0.001)
    engine.vllm_config.parallel_config = SimpleNamespace(data_parallel_size=ranks)
    return engine


@pytest.mark.parametrize("ranks", [1, 8])
def test_capacity_is_what_vllm_says_of_each_rank(ranks):
    """`kv_cache_size_tokens` and not blocks times their size, which a hybrid model has several of."""
    model = adapter(replicated(ranks))
    assert (model.capacity.kv_tokens, model.capacity.sequences) == (90 * ranks, 8 * ranks)


def test_a_vllm_that_does_not_say_bounds_sequences_alone():
    engine = replicated(2)
    del engine.vllm_config.cache_config.kv_cache_size_tokens
    model = adapter(engine)
    assert (model.capacity.kv_tokens, model.capacity.sequences) == (None, 16)


def test_all_turns_of_a_conversation_go_to_one_rank_and_conversations_to_all():
    engine = replicated(4)
    model = adapter(engine)

    async def converse(number):
        with one_conversation():
            for turn in range(3):
                asked = (Message("user", f"{number} {turn}"),)
                await model.generate(Request(asked, Sampling(max_tokens=9), seed=number))
                await model.choose((*asked, Message("assistant", "It is.")), ("Yes", "No"))

    async def all_of_them():
        for number in range(8):
            before = len(engine.sent)
            await converse(number)
            assert len({rank for rank, _ in engine.sent[before:]}) == 1
        engine.sent.clear()
        await asyncio.gather(*map(converse, range(8)))

    asyncio.run(all_of_them())
    homes = [rank for rank, _ in engine.sent[:8]]
    assert sorted(homes) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_one_engine_is_not_asked_for_a_rank():
    engine = replicated(1)
    asyncio.run(adapter(engine).generate(REQUEST))
    assert engine.sent == [(None, None)]
