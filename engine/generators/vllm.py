"""vLLM in process: one `AsyncLLM`, continuous batching, prefix caching, oldest conversation first.

Options after `?` in the spec go to vLLM's engine arguments by their own names
(`vllm:NAME?tensor_parallel_size=2&dtype=bfloat16`); `lora=PATH` serves an adapter, and `thinking` and
`reasoning_effort` are of Thinking.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.generators.background import in_daemon_thread
from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    Generator,
    Request,
    Score,
)
from engine.generators.chat_template import ChatEncoder
from engine.generators.debate import inner_of
from engine.generators.fingerprint import MadeModel, fingerprint_model, fingerprint_tokenizer
from engine.generators.thinking import Masses, Sampled, Thinking, complete
from engine.generators.thinking_judge import ThinkingJudge
from engine.generators.vllm_engine import VllmEngine
from engine.generators.warm_swap import swap_weights, swappable
from engine.messages import Conversation

__all__ = ["VllmGenerator", "share_engines"]

_log = logging.getLogger(__name__)

_RESOURCE_OPTIONS = frozenset(
    "tensor_parallel_size pipeline_parallel_size data_parallel_size gpu_memory_utilization "
    "max_num_seqs max_num_batched_tokens enforce_eager max_model_len swap_space load_format "
    "kv_cache_memory_bytes block_size enable_prefix_caching disable_log_stats".split()
)
"""Options that change speed and limits but not what the model says: not in the fingerprint."""


class VllmGenerator:
    """A model served by vLLM inside this process (the engine core is a child process).

    It has an engine of its own, unless `share_engines` was called with it and others.
    """

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
        self.fingerprint = fingerprint_model(
            model,
            backend="vllm",
            lora=fingerprint_model(self.lora) if self.lora else None,
            chat_template=chat_template,
            **self.thinking.identity,
            **{k: v for k, v in self.options.items() if k not in _RESOURCE_OPTIONS},
        )
        self._serving = VllmEngine(self.spec, model, self.options)
        self._serving.serve(self._adapter, {})
        self._encoder: ChatEncoder | None = None
        self._judge = ThinkingJudge(self.thinking.budget)
        self._lora_request: Any = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Load the model, once. Raises InputError when vLLM or the model cannot be used."""
        async with self._starting:
            if self._encoder is None:
                await self._serving.join(self)
                self._adopt(self.engine.get_tokenizer())

    async def take_over(self, old: "VllmGenerator") -> bool:
        """Serve this model with the engine of `old`: at once where they share it, or with the weights
        exchanged, in seconds.

        False, with the engine left to `old` or stopped, where that could alter an answer or failed:
        then this one has to `start`. Afterwards `old` is as if closed, or may be closed.
        """
        if self._serving is old._serving:
            await self.start()
            return True
        async with self._starting:
            if self._encoder is not None or not await in_daemon_thread(lambda: self._fits(old)):
                return False
            engine, old._encoder = old._serving.give_up(), None
            swapped = False
            try:
                swapped = await swap_weights(engine, self._serving.located())
            except Exception as error:  # noqa: BLE001  vLLM raises this very class
                _log.info("%s: weights not exchanged: %s", self.spec, error)
            finally:
                self._serving.adopt(engine, self)
                if not swapped:
                    await self.close()
            if swapped:
                self._adopt(await in_daemon_thread(self._read_tokenizer))
            return swapped

    def _fits(self, old: "VllmGenerator") -> bool:
        """Whether only weights differ; a checkpoint may bring another chat template."""
        before, after = old._serving, self._serving
        engine = before.running
        if engine is None or before.users != {old} or after.users:
            return False
        if (
            before.adapters
            or after.adapters
            or engine.output_processor.get_num_unfinished_requests()
        ):
            return False
        try:
            if not swappable(before.located(), after.located(), old.options, self.options):
                return False
            known, new = engine.get_tokenizer(), self._read_tokenizer()
        except Exception:  # noqa: BLE001  tokenizers raises this very class; `start` explains
            return False
        return known.eos_token_id == new.eos_token_id and (
            fingerprint_tokenizer(known, "of the engine") == fingerprint_tokenizer(new, "other")
        )

    def _read_tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._serving.located())

    def _adopt(self, tokenizer: Any) -> None:
        """Take the context from the engine, and the tokenizer that encodes for it."""
        self._encoder = ChatEncoder(
            tokenizer,
            fingerprint_tokenizer(tokenizer, self.fingerprint),
            self.chat_template,
            self.spec,
            context=self.engine.vllm_config.model_config.max_model_len,
            template_arguments=self.thinking.template_arguments,
        )
        self._lora_request = self._serving.lora_request(self._adapter)

    async def generate(self, request: Request) -> Completion:
        """One completion; its `tokens` repeat exactly in the next turn's prompt."""
        return await complete(self, self._started, request, self.thinking.budget)

    async def sample(self, prompt: list[int], request: Request) -> Sampled:
        """As of TokenModel."""
        room = self._started.context - len(prompt)
        sampling = request.sampling.bounded(min(request.sampling.max_tokens, room))
        asked = {**sampling.model_dump(), "seed": request.seed}
        output = await self._run(prompt, asked, request.priority, request.on_text)
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
        wanted = sorted({token for variants in candidates for token in variants})
        asked = {"max_tokens": 1, "temperature": 0.0, "logprob_token_ids": wanted}
        output = await self._run(prompt, asked, priority)
        logprobs = output.outputs[0].logprobs[0]
        values = [
            sum(math.exp(logprobs[token].logprob) for token in variants if token in logprobs)
            for variants in candidates
        ]
        return Masses(values, output.num_cached_tokens or 0)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """One prefill of prompt and answer; nothing of it is read from the prefix cache."""
        prompt, own = self._started.encode_to_score(messages)
        if not own:
            return Score((), len(prompt))
        asked = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "detokenize": False}
        output = await self._run(prompt + own, asked, priority)
        found = output.prompt_logprobs[len(prompt) :]
        logprobs = tuple(at[token].logprob for at, token in zip(found, own, strict=True))
        return Score(logprobs, len(prompt))

    @property
    def engine(self) -> Any:
        """The `AsyncLLM`, for whoever wants vLLM itself; None before `start`."""
        return self._serving.running

    @property
    def capacity(self) -> Capacity:
        """What the engine can hold; the same object for all that share it."""
        return self._serving.capacity

    @property
    def _adapter(self) -> str | None:
        return str(self.lora) if self.lora else None

    @property
    def _started(self) -> ChatEncoder:
        if self._encoder is None:
            raise RuntimeError("call start() before the first request")
        return self._encoder

    async def _run(
        self,
        ids: list[int],
        sampling: Mapping[str, Any],
        priority: int,
        on_text: Callable[[str], None] | None = None,
    ) -> Any:
        encoder = self._started
        restored = on_text and (lambda text: on_text(encoder.restore(text)))
        return await self._serving.run(ids, sampling, priority, self._lora_request, restored)

    async def close(self) -> None:
        """Stop the engine and free its memory, unless another generator uses it."""
        self._encoder = None
        self._serving.leave(self)

    def use(self, engine: VllmEngine) -> None:
        """Take an engine of another generator, before the start."""
        if engine is not self._serving:
            engine.serve(self._adapter, self.options)
            self._serving = engine

    @property
    def serving(self) -> VllmEngine:
        """The engine, running or not."""
        return self._serving


def share_engines(generators: Iterable[Generator], *, at_once: bool = True) -> None:
    """Have models of one base and equal engine options use one engine; those that run are left alone.

    Engines that are to run `at_once` split the GPUs' memory evenly, where their options do not say
    how much of it they take.
    """
    engines: dict[str, VllmEngine] = {}
    for generator in map(inner_of, generators):
        if isinstance(generator, VllmGenerator) and not generator.serving.users:
            own = generator.serving
            generator.use(engines.setdefault(own.identity, own))
    for engine in engines.values():
        engine.beside = len(engines) if at_once else 1
