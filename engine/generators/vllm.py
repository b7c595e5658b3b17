"""vLLM in process: one `AsyncLLM`, continuous batching, prefix caching, oldest conversation first.

Options after `?` in the spec go to vLLM's engine arguments by their own names
(`vllm:NAME?tensor_parallel_size=2&dtype=bfloat16`); `lora=PATH` serves an adapter, and `thinking` and
`reasoning_effort` are of Thinking.
"""

import asyncio
import itertools
import logging
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.generators import vllm_platform
from engine.generators.background import in_daemon_thread
from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    FailureReason,
    GenerationError,
    GeneratorUnavailable,
    Request,
    Score,
)
from engine.generators.chat_template import ChatEncoder
from engine.generators.fingerprint import MadeModel, fingerprint_model, fingerprint_tokenizer
from engine.generators.thinking import Masses, Sampled, Thinking, complete
from engine.generators.thinking_judge import ThinkingJudge
from engine.generators.warm_swap import SWAP_WORKER, swap_weights, swappable
from engine.messages import Conversation

__all__ = ["VllmGenerator"]

_log = logging.getLogger(__name__)

_RESOURCE_OPTIONS = frozenset(
    "tensor_parallel_size pipeline_parallel_size data_parallel_size gpu_memory_utilization "
    "max_num_seqs max_num_batched_tokens enforce_eager max_model_len swap_space load_format "
    "kv_cache_memory_bytes block_size enable_prefix_caching disable_log_stats".split()
)
"""Options that change speed and limits but not what the model says: not in the fingerprint."""


class VllmGenerator:
    """A model served by vLLM inside this process (the engine core is a child process)."""

    def __init__(
        self,
        model: str | Path | MadeModel,
        *,
        options: Mapping[str, Any] | None = None,
        chat_template: str | None = None,
        spec: str | None = None,
    ) -> None:
        self.model = model
        self.spec = spec or f"vllm:{model}"
        self.options = dict(options or {})
        self.chat_template = chat_template
        self.lora = self.options.pop("lora", None)
        said = {name: self.options.pop(name, None) for name in ("thinking", "reasoning_effort")}
        self.thinking = Thinking.of_options(self.spec, **said)
        self.capacity = Capacity()
        self.fingerprint = fingerprint_model(
            model,
            backend="vllm",
            lora=fingerprint_model(self.lora) if self.lora else None,
            chat_template=chat_template,
            **self.thinking.identity,
            **{k: v for k, v in self.options.items() if k not in _RESOURCE_OPTIONS},
        )
        self._engine: Any = None
        self._encoder: ChatEncoder | None = None
        self._judge = ThinkingJudge(self.thinking.budget)
        self._lora_request: Any = None
        self._request_ids = itertools.count()
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Load the model, once. Raises InputError when vLLM or the model cannot be used."""
        async with self._starting:
            if self._engine is None:
                self._engine = await in_daemon_thread(self._load)
                self._adopt(self._engine.get_tokenizer())

    async def take_over(self, old: "VllmGenerator") -> bool:
        """Serve this model with the engine of `old` and the weights exchanged, in seconds.

        False, with the engine left to `old` or stopped, where that could alter an answer or failed:
        then this one has to `start`. Afterwards `old` is as if closed.
        """
        async with self._starting:
            if self._engine is not None or not await in_daemon_thread(lambda: self._fits(old)):
                return False
            engine, old._engine, old._encoder = old._engine, None, None
            swapped = False
            try:
                swapped = await swap_weights(engine, self._located())
            except Exception as error:  # noqa: BLE001  vLLM raises this very class
                _log.info("%s: weights not exchanged: %s", self.spec, error)
            finally:
                self._engine = engine
                if not swapped:
                    await self.close()
            if swapped:
                self._adopt(await in_daemon_thread(self._read_tokenizer))
            return swapped

    def _located(self) -> str:
        """The directory or hub's name, after making a model that must be made first."""
        if isinstance(self.model, MadeModel):
            self.model = self.model.make()
        return str(self.model)

    def _fits(self, old: "VllmGenerator") -> bool:
        """Whether only weights differ; a checkpoint may bring another chat template."""
        engine = old._engine
        if engine is None or self.lora or old.lora or engine.get_num_unfinished_requests():
            return False
        try:
            if not swappable(old._located(), self._located(), old.options, self.options):
                return False
            before, after = engine.get_tokenizer(), self._read_tokenizer()
        except Exception:  # noqa: BLE001  tokenizers raises this very class; `start` explains
            return False
        return before.eos_token_id == after.eos_token_id and (
            fingerprint_tokenizer(before, "of the engine") == fingerprint_tokenizer(after, "other")
        )

    def _read_tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._located())

    def _load(self) -> Any:
        vllm_platform.require_vllm()
        sizes = ("tensor_parallel_size", "pipeline_parallel_size")
        parallel = any(self.options.get(size, 1) != 1 for size in sizes)
        arguments = {
            **vllm_platform.engine_defaults(parallel=parallel),
            "worker_extension_cls": SWAP_WORKER,
            "model": self._located(),
            "enable_prefix_caching": True,
            "scheduling_policy": "priority",
            "disable_log_stats": True,
            "enable_lora": self.lora is not None,
            **self.options,
        }
        return vllm_platform.start_engine(self.spec, arguments)

    def _adopt(self, tokenizer: Any) -> None:
        """Take limits from the engine, and the tokenizer that encodes for it."""
        config = self._engine.vllm_config
        tokenizer_id = fingerprint_tokenizer(tokenizer, self.fingerprint)
        context = config.model_config.max_model_len
        self._encoder = ChatEncoder(
            tokenizer,
            tokenizer_id,
            self.chat_template,
            self.spec,
            context=context,
            template_arguments=self.thinking.template_arguments,
        )
        blocks, size = config.cache_config.num_gpu_blocks, config.cache_config.block_size
        self.capacity = Capacity(
            kv_tokens=blocks * size if blocks else None,
            sequences=config.scheduler_config.max_num_seqs,
        )
        if self.lora:
            from vllm.lora.request import LoRARequest

            self._lora_request = LoRARequest("adapter", 1, str(self.lora))

    async def generate(self, request: Request) -> Completion:
        """One completion; its `tokens` repeat exactly in the next turn's prompt."""
        return await complete(self, self._started, request, self.thinking.budget)

    async def sample(self, prompt: list[int], request: Request) -> Sampled:
        """As of TokenModel."""
        from vllm import SamplingParams

        sampling, room = request.sampling, self._started.context - len(prompt)
        params = SamplingParams(
            max_tokens=min(sampling.max_tokens, room),
            min_tokens=min(sampling.min_tokens, room),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=request.seed,
        )
        output = await self._run(prompt, params, request.priority, request.on_text)
        generated = output.outputs[0]
        return Sampled(
            ids=list(generated.token_ids),
            stopped=generated.finish_reason != "length",
            tokens=len(generated.token_ids),
            cached_tokens=output.num_cached_tokens or 0,
            text=generated.text,
        )

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """Probabilities of the choices' first tokens, summed over their surface variants; after its
        thought, of a model that thinks."""
        return await self._judge.choose(self, self._started, messages, choices, priority)

    async def masses(
        self, prompt: list[int], candidates: tuple[tuple[int, ...], ...], priority: int
    ) -> Masses:
        """As of TokenModel."""
        from vllm import SamplingParams

        wanted = sorted({token for variants in candidates for token in variants})
        params = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=wanted)
        output = await self._run(prompt, params, priority)
        logprobs = output.outputs[0].logprobs[0]
        values = [
            sum(math.exp(logprobs[token].logprob) for token in variants if token in logprobs)
            for variants in candidates
        ]
        return Masses(values, output.num_cached_tokens or 0)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """One prefill of prompt and answer; nothing of it is read from the prefix cache."""
        from vllm import SamplingParams

        prompt, own = self._started.encode_to_score(messages)
        if not own:
            return Score((), len(prompt))
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        output = await self._run(prompt + own, params, priority)
        found = output.prompt_logprobs[len(prompt) :]
        logprobs = tuple(at[token].logprob for at, token in zip(found, own, strict=True))
        return Score(logprobs, len(prompt))

    @property
    def engine(self) -> Any:
        """The `AsyncLLM`, for whoever wants vLLM itself; None before `start`."""
        return self._engine

    @property
    def _started(self) -> ChatEncoder:
        if self._encoder is None:
            raise RuntimeError("call start() before the first request")
        return self._encoder

    async def _run(
        self,
        ids: list[int],
        params: Any,
        priority: int,
        on_text: Callable[[str], None] | None = None,
    ) -> Any:
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        kinds = RequestOutputKind
        params.output_kind = kinds.CUMULATIVE if on_text else kinds.FINAL_ONLY
        output: Any = None
        try:
            async for output in self._engine.generate(
                {"prompt_token_ids": ids},
                params,
                f"solon-{os.getpid()}-{next(self._request_ids)}",
                priority=priority,
                lora_request=self._lora_request,
            ):
                if on_text:
                    on_text(self._started.restore(output.outputs[0].text))
        except EngineDeadError as error:
            message = f"{self.spec}: the vLLM engine died; its log is {vllm_platform.log_path()}"
            raise GeneratorUnavailable(message) from error
        except ValueError as error:
            raise GenerationError(FailureReason.REJECTED, " ".join(str(error).split())) from error
        return output

    async def close(self) -> None:
        """Stop the engine and free its memory."""
        engine, self._engine, self._encoder = self._engine, None, None
        if engine is not None:
            engine.shutdown()  # in the loop's thread: it cancels tasks of the loop
            # vLLM's destructor calls it once more, and fails loudly when the interpreter ends.
            engine.shutdown = lambda *_, **__: None
