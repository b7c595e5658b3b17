"""One `AsyncLLM` and what those who use it share: its memory, its replicas, its adapters.

Generators of one base model use one engine: a policy that is the base with an adapter and a judge
that is the base, or roles that differ in how they think. Each request names its adapter.
"""

import asyncio
import itertools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from constitution.problems import brief
from constitution.reading import read_json
from engine.generators import vllm_platform
from engine.generators.background import in_daemon_thread
from engine.generators.base import Capacity, FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.fingerprint import MadeModel
from engine.generators.in_flight import Ranks
from engine.generators.warm_swap import SWAP_WORKER

__all__ = ["VllmEngine"]

_LORA_OPTIONS = frozenset(
    "enable_lora max_loras max_lora_rank max_cpu_loras lora_dtype fully_sharded_loras".split()
)
"""Options that a base needs for its adapters' sake alone."""
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes for `max_lora_rank`, whose default is 16."""


class VllmEngine:
    """The engine for a model and vLLM's options, started for its first user, stopped by its last.

    `adapters` are paths or hub's names of LoRA adapters that requests may name; all are known before
    the start. `beside` counts the engines of this process that share its GPUs, this one included.
    """

    def __init__(
        self, spec: str, model: str | Path | MadeModel, options: Mapping[str, Any]
    ) -> None:
        self.spec = spec
        self.options = dict(options)
        self.adapters: list[str] = []
        self.beside = 1
        self.capacity = Capacity()
        self.running: Any = None
        """The `AsyncLLM`; None before the start."""
        self.users: set[object] = set()
        self.identity = _identity(model, options)
        """Equal for engines that can serve each other's requests, given the adapters."""
        self._model = model
        self._ranks = Ranks(1)
        self._request_ids = itertools.count()
        self._starting = asyncio.Lock()

    def located(self) -> str:
        """The directory or hub's name, after making a model that must be made first."""
        if isinstance(self._model, MadeModel):
            self._model = self._model.make()
        return str(self._model)

    def serve(self, adapter: str | None, options: Mapping[str, Any]) -> None:
        """Serve an adapter as well, with the LoRA options that its user has."""
        if adapter is not None and adapter not in self.adapters:
            self.adapters.append(adapter)
        for name in _LORA_OPTIONS & options.keys():
            self.options.setdefault(name, options[name])

    async def join(self, user: object) -> None:
        """Run for `user`, until that one leaves. Raises InputError as `start_engine` does."""
        async with self._starting:
            if self.running is None:
                self.adopt(await in_daemon_thread(self._load), user)
            self.users.add(user)

    def adopt(self, running: Any, user: object) -> None:
        """Run by means of an `AsyncLLM` that is there, and take its limits.

        vLLM counts sequences and, where it says, tokens of KV cache for each data-parallel rank.
        What blocks hold is its own business: in a hybrid model a sequence has some in several groups.
        """
        self.running, config = running, running.vllm_config
        self.users.add(user)
        ranks = config.parallel_config.data_parallel_size
        tokens = getattr(config.cache_config, "kv_cache_size_tokens", None)
        self._ranks = Ranks(ranks)
        self.capacity = Capacity(
            kv_tokens=tokens * ranks if tokens else None,
            sequences=config.scheduler_config.max_num_seqs * ranks,
        )

    def give_up(self) -> Any:
        """The `AsyncLLM`, for whoever takes it over; this engine is as if stopped."""
        running, self.running = self.running, None
        self.users.clear()
        return running

    def leave(self, user: object) -> None:
        """Stop, in the event loop's thread, if nobody else uses it."""
        self.users.discard(user)
        if not self.users and (running := self.give_up()) is not None:
            running.shutdown()  # it cancels tasks of the loop
            # vLLM's destructor calls it once more, and fails loudly when the interpreter ends.
            running.shutdown = lambda *_, **__: None

    def lora_request(self, adapter: str | None) -> Any:
        """What a request names an adapter by; None for the base."""
        if adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        number = self.adapters.index(adapter) + 1
        return LoRARequest(f"adapter-{number}", number, adapter)

    async def run(
        self,
        ids: list[int],
        sampling: Mapping[str, Any],
        priority: int,
        lora_request: Any,
        on_text: Callable[[str], None] | None = None,
    ) -> Any:
        """vLLM's last output for a prompt of token ids; `on_text` is called with each text before.

        `sampling` are arguments of vLLM's `SamplingParams`. Raises GenerationError for a request
        that vLLM refuses, GeneratorUnavailable when it died.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        kinds = RequestOutputKind
        kind = kinds.CUMULATIVE if on_text else kinds.FINAL_ONLY
        output: Any = None
        try:
            params = SamplingParams(**sampling, output_kind=kind)
            with self._ranks.taken() as rank:
                async for output in self.running.generate(
                    {"prompt_token_ids": ids},
                    params,
                    f"solon-{os.getpid()}-{next(self._request_ids)}",
                    priority=priority,
                    lora_request=lora_request,
                    data_parallel_rank=rank if len(self._ranks) > 1 else None,
                ):
                    if on_text:
                        on_text(output.outputs[0].text)
        except EngineDeadError as error:
            message = f"{self.spec}: the vLLM engine died; its log is {vllm_platform.log_path()}"
            raise GeneratorUnavailable(message) from error
        except _refusals() as error:
            raise GenerationError(FailureReason.REJECTED, brief(error, 1000)) from error
        return output

    def _load(self) -> Any:
        vllm_platform.require_vllm()
        sizes = ("tensor_parallel_size", "pipeline_parallel_size")
        parallel = any(self.options.get(size, 1) != 1 for size in sizes)
        arguments = {
            **vllm_platform.engine_defaults(parallel=parallel, engines=self.beside),
            "worker_extension_cls": SWAP_WORKER,
            "model": self.located(),
            "enable_prefix_caching": True,
            "scheduling_policy": "priority",
            "disable_log_stats": True,
            **self._lora_arguments(),
            **self.options,
        }
        return vllm_platform.start_engine(self.spec, arguments)

    def _lora_arguments(self) -> dict[str, Any]:
        if not self.adapters:
            return {"enable_lora": False}
        rank = max(map(_rank_of, self.adapters))
        fitting = next((size for size in _LORA_RANKS if size >= rank), rank)
        return {"enable_lora": True, "max_loras": len(self.adapters), "max_lora_rank": fitting}


def _refusals() -> tuple[type[Exception], ...]:
    """What vLLM raises for a request that it does not take: ValueError, in some versions its own."""
    try:
        from vllm.exceptions import VLLMClientError
    except ImportError:
        return (ValueError,)
    return ValueError, VLLMClientError


def _identity(model: str | Path | MadeModel, options: Mapping[str, Any]) -> str:
    if isinstance(model, MadeModel):
        name = f"{model.make.__module__}.{model.make.__qualname__}"
    else:
        path = Path(model).expanduser()
        name = str(path.resolve() if path.exists() else model)
    shared = {key: value for key, value in options.items() if key not in _LORA_OPTIONS}
    return json.dumps([name, shared], sort_keys=True, default=str)


def _rank_of(adapter: str) -> int:
    """The rank in an adapter's configuration; vLLM's default for one that is not on this machine."""
    file = Path(adapter).expanduser() / "adapter_config.json"
    rank = read_json(file, dict).get("r") if file.is_file() else None
    return rank if isinstance(rank, int) else 16
