"""Which checkpoint may take over an engine, from the files alone, and what the worker reports."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.generators.base import Completion, Request, Sampling
from engine.generators.spec import open_generator
from engine.generators.vllm import VllmGenerator
from engine.generators.warm_swap import SwapWorker, swap_weights, swappable
from engine.messages import Message
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache

CONFIG = {"model_type": "llama", "hidden_size": 8, "dtype": "float32", "eos_token_id": 2}


def checkpoint(
    directory: Path, shape: tuple[int, ...] = (2, 2), dtype: str = "F32", **config: Any
) -> Path:
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(CONFIG | config), encoding="utf-8")
    tensor = {"dtype": dtype, "shape": shape, "data_offsets": [0, 16]}
    header = json.dumps({"__metadata__": {"at": directory.name}, "w": tensor}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(16)
    (directory / "model.safetensors").write_bytes(content)
    return directory


def test_a_checkpoint_that_differs_in_weights_alone_is_swappable(tmp_path):
    one = checkpoint(tmp_path / "one")
    other = checkpoint(tmp_path / "two", transformers_version="9", use_cache=False)
    renamed = {key: value for key, value in CONFIG.items() if key != "dtype"}
    old_name = json.dumps(renamed | {"torch_dtype": "float32"})
    assert swappable(one, other, {}, {})
    assert swappable(one, other, {"max_model_len": 9}, {"max_model_len": 9})
    (other / "config.json").write_text(old_name, encoding="utf-8")
    assert swappable(one, other, {}, {})
    for directory, ends in ((one, "2"), (other, "[2]")):  # trainers write a list of one
        text = f'{{"eos_token_id": {ends}}}'
        (directory / "generation_config.json").write_text(text, encoding="utf-8")
    assert swappable(one, other, {}, {})


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": (4, 1)},
        {"dtype": "BF16"},
        {"config": {"dtype": "bfloat16"}},
        {"config": {"rope_theta": 5.0}},
        {"config": {"eos_token_id": 3}},
        {"config": {"quantization_config": {"bits": 4}}},
    ],
)
def test_any_other_difference_is_not(tmp_path, changed):
    one = checkpoint(tmp_path / "one")
    config = changed.pop("config", {})
    assert not swappable(one, checkpoint(tmp_path / "two", **changed, **config), {}, {})


def test_what_cannot_be_compared_is_not_swappable(tmp_path):
    one, other = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    assert not swappable(one, other, {}, {"max_model_len": 9})
    assert not swappable(one, other, {"quantization": "fp8"}, {"quantization": "fp8"})
    assert not swappable(one, other, {"revision": "main"}, {"revision": "main"})
    assert not swappable("org/name", "org/name", {}, {})
    (other / "generation_config.json").write_text('{"eos_token_id": [2, 3]}', encoding="utf-8")
    assert not swappable(one, other, {}, {})
    (one / "model.safetensors").unlink()
    assert not swappable(one, one, {}, {})


class Model:
    """Two parameters; a checkpoint brings those it is given."""

    def __init__(self, head: Any = None) -> None:
        self.head = head
        self.loads = self.load_weights

    def named_parameters(self) -> list[tuple[str, None]]:
        return [("embed", None), ("mlp", None)]

    def modules(self) -> list[Any]:
        return [SimpleNamespace(weight=None), self.head] if self.head else []

    def load_weights(self, weights: set[str]) -> set[str]:
        return set(weights)


class Worker(SwapWorker):
    def __init__(self, model: Model, brings: set[str]) -> None:
        self.model_runner = SimpleNamespace(get_model=lambda: model)
        self.model, self.brings = model, brings

    def reload_weights(self, weights_path: str) -> None:
        self.model.load_weights(self.brings)


def test_a_worker_names_the_parameters_that_were_left_alone():
    assert Worker(Model(), {"embed", "mlp"}).solon_swap_weights("there") == []
    model = Model()
    assert Worker(model, {"embed"}).solon_swap_weights("there") == ["mlp"]
    assert model.load_weights == model.loads


def test_a_head_packed_for_the_cpu_is_packed_again():
    packed: list[Any] = []
    weight = SimpleNamespace(numel=lambda: 4)
    method = SimpleNamespace(process_weights_after_loading=packed.append)
    head = SimpleNamespace(weight=weight, cpu_linear=None, quant_method=method)
    Worker(Model(head), {"embed", "mlp"}).solon_swap_weights("there")
    assert packed == [head]


@pytest.mark.parametrize(
    ("left", "emptied", "swapped"),
    [([[], []], True, True), ([[], ["mlp"]], True, False), ([[]], False, False)],
)
def test_a_model_in_doubt_is_not_taken_over(left, emptied, swapped):
    class Engine:
        async def collective_rpc(self, method, args):
            assert (method, args) == ("solon_swap_weights", ("there",))
            return left

        async def reset_prefix_cache(self):
            return emptied

    assert asyncio.run(swap_weights(Engine(), "there")) is swapped


@pytest.fixture
def without_vllm(monkeypatch):
    """Generators that start, close and answer at once."""

    async def nothing(self: VllmGenerator) -> None:
        return None

    async def answer(self: VllmGenerator, request: Request) -> Completion:
        return Completion(self.spec, "stop")

    monkeypatch.setattr(VllmGenerator, "start", nothing)
    monkeypatch.setattr(VllmGenerator, "close", nothing)
    monkeypatch.setattr(VllmGenerator, "generate", answer)


async def one_after_the_other(old: VllmGenerator, new: VllmGenerator) -> str:
    """What `new` answers, which succeeds `old`."""
    request, cache = Request((Message("user", "Why?"),), Sampling(), 0), CompletionCache(None)
    first, second = CachedGenerator(old, cache), CachedGenerator(new, cache)
    await first.generate(request)
    second.succeed(first)
    return (await second.generate(request)).text


def test_the_embedded_model_takes_over_an_engine_too(tmp_path, without_vllm, monkeypatch):
    """A base that is the embedded model comes last in an evaluation."""
    taken: list[VllmGenerator] = []

    async def take_over(self: VllmGenerator, old: VllmGenerator) -> bool:
        taken.append(old)
        return True

    monkeypatch.setattr(VllmGenerator, "take_over", take_over)
    old, new = VllmGenerator(tmp_path), open_generator("embedded?backend=vllm")
    assert asyncio.run(one_after_the_other(old, new)) == new.spec
    assert taken == [old]


def test_an_exchange_that_fails_leaves_no_engine_behind(tmp_path, without_vllm, monkeypatch):
    """One that nobody closes keeps the program from ending."""
    closed: list[VllmGenerator] = []

    async def take_over(self: VllmGenerator, old: VllmGenerator) -> bool:
        raise AttributeError("of another version of vLLM")

    async def close(self: VllmGenerator) -> None:
        closed.append(self)

    monkeypatch.setattr(VllmGenerator, "take_over", take_over)
    monkeypatch.setattr(VllmGenerator, "close", close)
    old, new = VllmGenerator(tmp_path / "old"), VllmGenerator(tmp_path / "new")
    with pytest.raises(AttributeError):
        asyncio.run(one_after_the_other(old, new))
    assert closed == [new, old]
