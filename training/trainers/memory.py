"""Memory of a training on each GPU: what is kept for each parameter, and for each token of a batch.

A parameter that is trained takes 16 bytes with Adam in mixed precision (Rajbhandari et al. 2020, arXiv
1910.02054, section 3.1): there 2 + 2 of weight and gradient and 12 of the optimizer; here 4 + 4 + 8, as
weights are kept in float32 and computed in bfloat16 by autocast. With activations recomputed (Chen et
al. 2016, arXiv 1604.06174) a layer keeps its input alone, and one layer at a time all that its
backward pass needs (counted as Korthikanti et al. 2022, arXiv 2205.05198, section 4, for gated
feed-forward parts and attention that keeps no matrix of scores). Logits are never kept: TRL computes the
loss in tiles.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from engine.sizing.gpus import GIB, Machine
from engine.sizing.need import Need
from engine.sizing.serving import Engine, engine_of
from engine.sizing.shape import ModelShape
from engine.sizing.sized import SizedModel, Sizes
from engine.sizing.specs import Name, model_of
from training.trainers.config import (
    LoraSettings,
    OnlineTrainingConfig,
    ReferenceTrainingConfig,
    RewardModelConfig,
    TrainingConfig,
)
from training.trainers.sharding import Sharding

__all__ = ["Training"]

_CONTEXT = 1 * GIB
"""CUDA's context, and the libraries' workspaces."""
_FRAGMENTED = 0.05
"""Share of the rest that the allocator holds and does not use."""
_FOUR_BITS = 4.127 / 8
"""Bytes of a weight in NF4 whose constants are quantised too (Dettmers et al. 2023, arXiv 2305.14314,
section 3: half a bit of constants a weight becomes 0.127)."""
_PREFETCHED = 2
"""Layers that FSDP and ZeRO-3 have whole at a time: the one computed and the next one."""
_AWAKE = ("gradients", "output layer", "gathered layers", "activations")
"""Parts that are there only while vLLM sleeps, if it does."""
_MOST = 3
"""Remedies that are named."""


@dataclass(frozen=True)
class Training:
    """One training: its settings, its model (of which the shape is known), and the GPUs."""

    config: TrainingConfig
    model: SizedModel
    shape: ModelShape
    sizes: Sizes
    sharding: Sharding = field(default_factory=Sharding)
    name: Name = str
    """What the size of a judge or a reward model is looked up by."""

    def need(self, machine: Machine | None) -> Need:
        """Bytes by part, problems and remedies, on that machine or on any."""
        parts = dict(self._parts())
        parts["reserve"] = _FRAGMENTED * sum(parts.values()) + _CONTEXT
        problems = []
        for name, engine in self._engines(machine):
            parts[name] = engine.taken(machine)
            if name == "vLLM" and getattr(self.config, "vllm_sleep", False):
                parts[name] = max(0.0, parts[name] - sum(parts.get(each, 0) for each in _AWAKE))
            if machine and engine.share is not None and engine.least > engine.taken(machine):
                least = f"{engine.least / GIB:.1f} GiB"
                problems.append((f"{name} takes at least {least}, more than its share", ""))
        return Need(
            {name: size for name, size in parts.items() if size},
            self.sharding.here,
            tuple(problems),
            self.remedies,
        )

    # Parts --------------------------------------------------------------------------------------

    @property
    def computing(self) -> float:
        """Bytes of a number that is computed with."""
        return 4.0 if self.config.dtype == "float32" else 2.0

    @property
    def trained(self) -> float:
        """Parameters that are trained."""
        lora = self.config.lora
        return self.shape.adapter(lora.r) if lora else self.shape.parameters

    def _parts(self) -> Iterator[tuple[str, float]]:
        sharding, trained = self.sharding, self.trained
        if self.config.lora:
            yield "frozen weights", self._frozen(self.config.lora) * sharding.share(3)
        yield "weights", 4 * trained * sharding.share(3)
        buckets = 2 if sharding.processes > 1 and sharding.stage == 0 else 1  # DDP's own copy
        yield "gradients", 4 * trained * sharding.share(2) * buckets
        yield "optimizer", 8 * trained * sharding.share(1)
        accumulates = self.config.gradient_accumulation > 1
        if accumulates and not self.config.lora and sharding.stage < 3 and self.computing < 4:
            yield "bfloat16 copy", 2 * trained  # of autocast, while gradients are kept
        yield "reference", self._reference()
        yield "value model", self._value_model()
        yield "output layer", self._output_layer()
        yield "gathered layers", self._gathered()
        yield "activations", self._activations()

    def _frozen(self, lora: LoraSettings) -> float:
        """A base in 4 bits keeps embeddings, norms and the head whole, and for a moment has one of its
        matrices whole."""
        if not lora.quantize:
            return self.computing * self.shape.parameters
        whole = self.shape.parameters - self.shape.linear
        matrix = self.shape.hidden * max(self.shape.inner, self.shape.queries)
        return _FOUR_BITS * self.shape.linear + self.computing * (whole + matrix)

    def _reference(self) -> float:
        """The model that the KL term or DPO compares with, where it is kept beside the other.

        An adapter that is switched off is its own reference; DPO asks it before training unless FSDP
        keeps it from that.
        """
        config, share = self.config, self.sharding.share(3)
        kept = isinstance(config, OnlineTrainingConfig) and config.beta > 0 and not config.lora
        if isinstance(config, ReferenceTrainingConfig):
            asked_before = config.precompute_reference and not self.sharding.fsdp
            kept = config.reference is not None or not (config.lora or asked_before)
        whole = self._frozen(config.lora) if config.lora else 4.0 * self.shape.parameters
        found = whole * share if kept else 0.0
        for reward in config.all_rewards if isinstance(config, OnlineTrainingConfig) else ():
            for model in reward.reward_models:
                found += 2.0 * (self.sizes.of(self.name(model)).shape or self.shape).parameters
        return found

    def _value_model(self) -> float:
        """Of PPO, trained as the policy is and beside it; a head on the policy weighs nothing."""
        named = getattr(self.config, "value_model", None)
        if named is None:
            return 0.0
        beside = replace(self, shape=self.sizes.of(self.name(named)).shape or self.shape)
        frozen = beside._frozen(self.config.lora) if self.config.lora else 0.0
        return frozen + (4 + 4 + 8) * beside.trained + beside._activations()

    def _output_layer(self) -> float:
        """Its gradient for a moment, and it itself where it is sharded."""
        if isinstance(self.config, RewardModelConfig):
            return 0.0
        width = 0.0 if self.config.lora else 4.0
        return self.shape.head * (width + (4 + self.computing if self._sharded else 0))

    def _gathered(self) -> float:
        """Layers that are whole for a moment, with their gradients."""
        width = self.computing + (0 if self.config.lora else 4)
        return _PREFETCHED * self.shape.layer * width if self._sharded else 0.0

    @property
    def _sharded(self) -> bool:  # of the parameters
        return self.sharding.stage == 3 and self.sharding.processes > 1

    @property
    def tokens(self) -> int:
        """Of a batch on one GPU at most. A pair is two sequences."""
        pairs = isinstance(self.config, ReferenceTrainingConfig | RewardModelConfig)
        return self.config.batch_size * self.config.max_length * (2 if pairs else 1)

    def _activations(self) -> float:
        shape, computing = self.shape, self.computing
        # An embedding in float32 makes all that is added to it float32.
        stream = computing if self.config.lora or self.sharding.fsdp else 4.0
        kept = stream * shape.hidden
        attention = computing * (2 * shape.queries + 2 * shape.keys)
        layer = 3 * kept + 2 * 4 * shape.hidden + attention + computing * 5 * shape.inner
        around = (computing + 2 * 4) * shape.hidden  # last hidden states and their gradient
        layers = shape.layers
        whole = layers * layer if self.config.gradient_checkpointing is False else 0.0
        mask = 3 * getattr(self.config, "masked_tokens", 0) ** 2  # a byte, and a number added
        return self.tokens * ((whole or layers * kept + layer) + around) + mask

    def _engines(self, machine: Machine | None) -> Iterator[tuple[str, Engine]]:
        """What answers and judges on the same GPU while GRPO trains."""
        config = self.config
        if not isinstance(config, OnlineTrainingConfig):
            return
        if engine := sampling_engine(config, self.model):
            yield "vLLM", engine
        if (spec := config.first_judge) is not None:
            judge = engine_of(spec, self.name(model_of(spec)), self.sizes)
            if judge is not None:
                yield "judge", judge

    # What would fit -------------------------------------------------------------------------------

    def remedies(self, machine: Machine) -> list[str]:
        """Changes with which it fits the machine, each alone; else two at once."""
        if self.sharding.here > machine.count:
            fewer = replace(self, sharding=self.sharding.on(machine.count))
            words = f"num_processes {machine.count} in the configuration of accelerate"
            return [words] if fewer._fits(machine) else fewer.remedies(machine)
        for options in (self._single(machine), self._several(machine)):
            fitting = [words for words, other in options if other._fits(machine)]
            if fitting:
                return fitting[:_MOST]
        return []

    def _fits(self, machine: Machine) -> bool:
        return replace(self.need(machine), gpus=1).fits(machine)

    def _with(self, **settings: Any) -> "Training":
        return replace(self, config=self.config.model_copy(update=settings))

    def _single(self, machine: Machine) -> Iterator[tuple[str, "Training"]]:
        config = self.config
        if config.gradient_checkpointing is False:
            yield "gradient_checkpointing", self._with(gradient_checkpointing=True)
        yield from self._smaller(machine)
        adapter = self._with(lora=config.lora or LoraSettings())
        if config.lora is None:
            yield "lora", adapter
        if not adapter._fits(machine):
            yield from self._in_four_bits()
        for count in (2, 4, 8, 16, 32, 64):
            over = self._over(count)
            if count > self.sharding.processes and over._fits(machine):
                more = "" if count <= machine.count else f" ({machine.count} here)"
                yield f"FSDP over {count} GPUs{more}", over
                return

    def _smaller(self, machine: Machine) -> Iterator[tuple[str, "Training"]]:
        """The largest batch, length and share of vLLM that fit."""
        config = self.config
        for size in _halves(config.batch_size, 1):
            batches = config.gradient_accumulation * config.batch_size // size
            other = self._with(batch_size=size, gradient_accumulation=batches)
            if other._fits(machine):
                yield f"batch_size {size} and gradient_accumulation {batches}", other
                break
        for length in _halves(config.max_length, max(getattr(config, "max_answer", 0) + 128, 256)):
            if self._with(max_length=length)._fits(machine):
                yield f"max_length {length}", self._with(max_length=length)
                break
        share = self._least_share(machine)
        if share is not None and share != getattr(config, "vllm_memory", None):
            yield f"vllm_memory {share:g}", self._with(vllm_memory=share)

    def _least_share(self, machine: Machine) -> float | None:
        """Of a GPU that the policy's own engine starts in; None where there is none, or on no share."""
        config = self.config
        engine = isinstance(config, OnlineTrainingConfig) and sampling_engine(config, self.model)
        if not engine:
            return None
        share = (1 + 100 * engine.least // machine.gpu.memory) / 100
        return share if share < 1 else None

    def _in_four_bits(self, words: str = "") -> Iterator[tuple[str, "Training"]]:
        """Unless it is, or is sharded, or vLLM would have to take it."""
        lora = self.config.lora or LoraSettings()
        if not (self._sharded or lora.quantize or isinstance(self.config, OnlineTrainingConfig)):
            quantized = self._with(lora=lora.model_copy(update={"quantize": "4bit"}))
            yield f"lora.quantize 4bit{words}", quantized

    def _over(self, count: int) -> "Training":
        return replace(self, sharding=Sharding(count, count, 3, fsdp=True))

    def _several(self, machine: Machine) -> Iterator[tuple[str, "Training"]]:
        batches = self.config.gradient_accumulation * self.config.batch_size
        small = self._with(batch_size=1, gradient_accumulation=batches, gradient_checkpointing=True)
        words = f"batch_size 1 and gradient_accumulation {batches}"
        if share := self._least_share(machine):
            small, words = small._with(vllm_memory=share), f"vllm_memory {share:g}, {words}"
            yield words, small
        if self.config.lora is None:
            yield f"lora, {words}", small._with(lora=LoraSettings())
        yield from small._in_four_bits(f", {words}")
        for count in (2, 4, 8, 16, 32, 64):
            yield f"{words} over {count} GPUs by FSDP", small._over(count)


def sampling_engine(config: OnlineTrainingConfig, model: SizedModel) -> Engine | None:
    """The engine with which GRPO samples on the training GPUs, if it does."""
    tensor, context = config.vllm_tensor_parallel, config.max_length
    if config.vllm is False or config.vllm_server or (config.lora and config.lora.quantize):
        return None
    return Engine(model, config.vllm_memory, tensor=tensor, context=context)


def _halves(size: int, least: int) -> Iterator[int]:
    """Half of it, a quarter, and so on."""
    while (size := size // 2) >= least:
        yield size
