"""Memory of the engines that answer: weights, KV cache, and what they compute in.

vLLM takes the share of a GPU that `gpu_memory_utilization` says, whatever it needs: weights first,
room to compute, and all the rest as KV cache. It does not start unless the cache holds one
sequence of `max_model_len` tokens. Engines at once share a GPU, so their shares add up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.generators.spec import read_spec, runs_here
from engine.sizing.gpus import GIB, Machine
from engine.sizing.need import Need
from engine.sizing.sized import SizedModel, Sizes

__all__ = ["Engine", "engine_of", "serving_need"]

_SHARE = 0.92
"""vLLM's own `gpu_memory_utilization`."""
_MOST_SHARE = 0.95
_ROOM = 2 * GIB
"""CUDA's context, CUDA graphs, and the activations of a batch of prompts (8,192 tokens)."""
_CONTEXT = 4096
"""Tokens of a sequence where neither options nor configuration say."""
_WIDTHS = {"float32": 4.0, "float": 4.0}
_QUANTISED = {"fp8": 1.0, "bitsandbytes": 0.5, "awq": 0.5, "gptq": 0.5}
"""Bytes of a weight by vLLM's `quantization`."""
_IN_BATCH = 32
"""Sequences of a batch of the transformers engine, of `_CONTEXT` tokens at most."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: which model, over how many GPUs, and the `share` of each that it takes (None of one
    that takes what it needs). `context` is its longest sequence, in tokens."""

    model: SizedModel
    share: float | None
    tensor: int = 1
    pipeline: int = 1
    replicas: int = 1
    context: int = _CONTEXT
    weight: float = 2.0
    """Bytes of a weight."""
    cached: float = 1.0
    """Bytes of the KV cache, in those of 16-bit values."""

    @property
    def gpus(self) -> int:
        """How many it uses."""
        return self.tensor * self.pipeline * self.replicas

    @property
    def weights(self) -> float:
        """Bytes of weights on each GPU."""
        shape = self.model.shape
        return self.weight * shape.parameters / (self.tensor * self.pipeline) if shape else 0.0

    def cache(self, tokens: float) -> float:
        """Bytes of the KV cache of so many tokens on each GPU. Key heads are shared out, none is cut."""
        shape = self.model.shape
        if shape is None:
            return 0.0
        ways = min(self.tensor, shape.key_heads) * self.pipeline
        return self.cached * shape.cache_bytes * tokens / ways

    @property
    def least(self) -> float:
        """Bytes without which it does not start, on each GPU."""
        sequences = 1 if self.share is not None else _IN_BATCH
        return self.weights + self.cache(self.context * sequences) + _ROOM

    def taken(self, machine: Machine | None) -> float:
        """Bytes that it takes of each GPU."""
        if machine is None or self.share is None:
            return self.least
        return self.share * machine.gpu.memory


def engine_of(spec: str, model: str, sizes: Sizes) -> Engine | None:
    """The engine that a spec starts on this machine; None of a server's and of `scripted`.

    `model` is what its shape is looked up by.
    """
    if not runs_here(spec):
        return None
    said = read_spec(spec)
    options = said.options
    sized = sizes.of(model)
    longest = (sized.shape.context if sized.shape else None) or _CONTEXT
    plain = 2.0 if sized.bits is None else sized.bits / 8
    if not said.in_vllm:
        return Engine(sized, None, context=min(longest, _CONTEXT), weight=plain)
    weight = _WIDTHS.get(str(options.get("dtype")), plain)
    weight = _QUANTISED.get(str(options.get("quantization")), weight)
    return Engine(
        sized,
        float(_number(options, "gpu_memory_utilization", _SHARE)),
        tensor=_count(options, "tensor_parallel_size"),
        pipeline=_count(options, "pipeline_parallel_size"),
        replicas=_count(options, "data_parallel_size"),
        context=int(_number(options, "max_model_len", longest)),
        weight=weight,
        cached=0.5 if str(options.get("kv_cache_dtype", "")).startswith("fp8") else 1.0,
    )


def _number(options: dict[str, Any], name: str, otherwise: float) -> float:
    value = options.get(name)
    return value if isinstance(value, int | float) and value > 0 else otherwise


def _count(options: dict[str, Any], name: str) -> int:
    return max(1, int(_number(options, name, 1)))


def serving_need(engines: Sequence[Engine], machine: Machine | None) -> Need:
    """Of engines that are loaded at once, all beginning at the first GPU."""
    parts: dict[str, float] = {}
    for number, engine in enumerate(engines, 1):
        name = f"engine of {engine.model.name}"
        parts[f"{name}, {number}" if name in parts else name] = engine.taken(machine)
    small = (_too_small(each, machine, len(engines)) for each in engines)
    problems = tuple(dict.fromkeys(filter(None, small)))
    return Need(
        parts,
        max((engine.gpus for engine in engines), default=1),
        problems,
        lambda given: _remedies(engines, given),
        tuple(filter(None, (_holds(engine, machine) for engine in engines))),
    )


def _holds(engine: Engine, machine: Machine | None) -> str | None:
    """How many of the longest conversations its KV cache has room for."""
    if machine is None or engine.share is None or engine.model.shape is None:
        return None
    left = engine.taken(machine) - engine.weights - _ROOM
    tokens = left / engine.cache(1) if left > 0 else 0
    if tokens < engine.context:
        return None
    return (
        f"{tokens:,.0f} tokens of KV cache, {tokens / engine.context:,.0f} of the longest sequences"
    )


def _too_small(engine: Engine, machine: Machine | None, at_once: int) -> tuple[str, str] | None:
    """Why an engine, one of several at once, does not start in its share of a GPU, and the remedy."""
    if machine is None or engine.share is None or engine.least <= engine.taken(machine):
        return None
    what = (
        f"{engine.model.name} takes at least {engine.least / GIB:.1f} GiB where gpu_memory_utilization "
        f"{engine.share:g} gives it {engine.taken(machine) / GIB:.1f}"
    )
    return what, ", or ".join(_one_fits(engine, machine, _MOST_SHARE / at_once))


def _one_fits(engine: Engine, machine: Machine, most: float) -> list[str]:
    """Settings with which an engine starts, each alone."""
    found = []
    share = math.ceil(100 * engine.least / machine.gpu.memory) / 100
    if share <= most:
        found.append(f"gpu_memory_utilization {share:g}")
    room = engine.taken(machine) - engine.weights - _ROOM
    tokens = int(room / engine.cache(1)) // 256 * 256 if room > 0 and engine.cache(1) else 0
    if tokens:
        found.append(f"max_model_len {tokens}")
    for ways in (2, 4, 8, 16):
        wider = replace(engine, tensor=ways)
        if ways > engine.tensor and wider.least <= wider.taken(machine):
            found.append(f"tensor_parallel_size {ways} on {max(ways, wider.gpus)} GPUs")
            break
    if not found:
        found.append("a smaller model, or one quantised to 4 bits")
    return found


def _remedies(engines: Sequence[Engine], machine: Machine) -> list[str]:
    """Where engines fit alone and not together."""
    wide = [engine for engine in engines if engine.gpus > machine.count]
    if wide:
        fewer = [replace(engine, tensor=machine.count, pipeline=1, replicas=1) for engine in wide]
        fits = all(engine.least <= engine.taken(machine) for engine in fewer)
        return [f"tensor_parallel_size {machine.count}"] if fits else []
    taken = sum(engine.taken(machine) for engine in engines)
    if taken <= machine.gpu.memory or len(engines) < 2:
        return []
    share = math.floor(100 * _MOST_SHARE / len(engines)) / 100
    if all(engine.least <= share * machine.gpu.memory for engine in engines):
        return [f"gpu_memory_utilization {share:g} for each of the {len(engines)} engines"]
    return ["one of the models behind a server on another GPU"]
