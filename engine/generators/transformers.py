"""A Hugging Face model in process: `transformers:NAME_OR_PATH`, for where vLLM is not.

Requests that arrive within a few milliseconds share a batch, which runs to its longest row's end
in one worker thread. There is no KV cache between turns: for runs of any size use `vllm:`.
"""

import asyncio
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

from constitution.problems import InputError, Problem, brief, missing
from engine.generators.base import (
    Capacity,
    Choice,
    Completion,
    Request,
    Sampling,
    Score,
)
from engine.generators.chat_template import ChatEncoder
from engine.generators.device import load_frozen
from engine.generators.fingerprint import MadeModel, fingerprint_model, fingerprint_tokenizer
from engine.generators.thinking import Masses, Sampled, Thinking, ThinkingOptions, complete
from engine.generators.thinking_judge import ThinkingJudge
from engine.generators.transformers_batch import BatchRow, answer_logprobs, generate_batch
from engine.messages import Conversation

__all__ = ["TransformersGenerator"]


@dataclass(order=True, slots=True)
class _Job:
    priority: int
    arrival: int
    row: BatchRow = field(compare=False)
    batch: asyncio.Future[asyncio.Future[None]] = field(compare=False)
    """The run of the batch that took this job, once one has."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: Any
    encoder: ChatEncoder
    eos_ids: frozenset[int]
    pad_id: int


class TransformersGenerator:
    """A causal language model loaded by transformers.

    `dtype` is that of `serving_dtype` unless given; `device` is the GPU if
    there is one; `gather` is how long a batch waits for one more request, in seconds; `thinking` and
    `reasoning_effort` are of Thinking, which raises InputError for what they cannot be. `start` raises
    it if the packages are missing or there is no such model.
    """

    def __init__(
        self,
        model: str | Path | MadeModel,
        *,
        chat_template: str | None = None,
        spec: str | None = None,
        revision: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        batch_size: int = 32,
        gather: float = 0.005,
        **thinking: Unpack[ThinkingOptions],
    ) -> None:
        self.spec = spec or f"transformers:{model}"
        self.capacity = Capacity(sequences=batch_size)
        self._model = model
        self._chat_template = chat_template
        self._revision = revision
        self._dtype = dtype
        self._device = device
        self._batch_size = batch_size
        self._gather = gather
        self._thinking = Thinking.of_options(self.spec, **thinking)
        self._judge = ThinkingJudge(self._thinking.budget)
        self.fingerprint = fingerprint_model(
            model,
            backend="transformers",
            chat_template=chat_template,
            revision=revision,
            dtype=dtype,
            **self._thinking.identity,
        )
        self._loaded: _Loaded | None = None
        self._starting = asyncio.Lock()
        self._queue: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue()
        self._arrivals = itertools.count()
        self._thread = ThreadPoolExecutor(1, "transformers")
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        async with self._starting:
            if self._loaded is None:
                loop = asyncio.get_running_loop()
                self._loaded = await loop.run_in_executor(self._thread, self._load)
                self._serving = asyncio.create_task(self._serve())

    async def close(self) -> None:
        serving, self._serving, self._loaded = self._serving, None, None
        if serving is not None:
            serving.cancel()
            await asyncio.wait([serving])
        while not self._queue.empty():
            self._queue.get_nowait().batch.cancel()

    async def generate(self, request: Request) -> Completion:
        return await complete(self, self._started.encoder, request, self._thinking.budget)

    async def sample(self, prompt: list[int], request: Request) -> Sampled:
        """As of TokenModel."""
        room = self._started.encoder.context - len(prompt)
        shorter = {"max_tokens": min(request.sampling.max_tokens, room)}
        sampling = request.sampling.model_copy(update=shorter)
        row = BatchRow(prompt, sampling, request.seed)
        await self._run(row, request.priority)
        kept = row.generated[:-1] if row.stopped else row.generated
        return Sampled(kept, row.stopped, len(row.generated))

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        encoder = self._started.encoder
        return await self._judge.choose(self, encoder, messages, choices, priority)

    async def masses(
        self, prompt: list[int], candidates: tuple[tuple[int, ...], ...], priority: int
    ) -> Masses:
        """As of TokenModel."""
        row = BatchRow(prompt, Sampling(max_tokens=1, temperature=0.0), candidates=candidates)
        await self._run(row, priority)
        return Masses(row.masses)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """One forward pass, not batched with others."""
        loaded = self._started
        prompt, own = loaded.encoder.encode_to_score(messages)
        loop = asyncio.get_running_loop()
        logprobs = await loop.run_in_executor(
            self._thread, answer_logprobs, loaded.model, prompt, own
        )
        return Score(logprobs, len(prompt))

    @property
    def _started(self) -> _Loaded:
        if self._loaded is None:
            raise RuntimeError("call start() before the first request")
        return self._loaded

    async def _run(self, row: BatchRow, priority: int) -> None:
        """Waits for a batch to take the row, then for the batch."""
        taken = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Job(priority, next(self._arrivals), row, taken))
        await asyncio.shield(await taken)

    async def _serve(self) -> None:
        while True:
            jobs = [await self._queue.get()]
            await self._gathered()
            while len(jobs) < self._batch_size and not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            wanted = [job for job in jobs if not job.batch.cancelled()]
            # Choices first: they take one step, and would otherwise wait for the longest row.
            await self._run_batch([job for job in wanted if job.row.candidates])
            await self._run_batch([job for job in wanted if not job.row.candidates])

    async def _gathered(self) -> None:
        """Waits until a batch is full, or no request came for the time of `gather`."""
        seen = -1
        while seen < self._queue.qsize() < self._batch_size - 1:
            seen = self._queue.qsize()
            await asyncio.sleep(self._gather)

    async def _run_batch(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        loaded, rows = self._started, [job.row for job in jobs]
        loop = asyncio.get_running_loop()
        batch = loop.run_in_executor(
            self._thread, generate_batch, loaded.model, rows, loaded.eos_ids, loaded.pad_id
        )
        for job in jobs:
            if not job.batch.cancelled():
                job.batch.set_result(batch)
        await asyncio.wait([batch])

    def _load(self) -> _Loaded:
        try:
            import torch
            from transformers import AutoModelForCausalLM
            from transformers.utils import logging
        except ImportError as error:
            raise missing(self.spec, error.name or "transformers", "transformers") from error
        del torch
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        name = self._model.make() if isinstance(self._model, MadeModel) else self._model
        try:
            tokenizer, model = load_frozen(
                AutoModelForCausalLM,
                name,
                self._device,
                dtype=self._dtype,
                revision=self._revision,
            )
        except (OSError, ValueError) as error:
            reason = brief(error, 300)
            remedy = "give a directory with config.json, weights and tokenizer, or a hub's name"
            raise InputError(
                Problem(self.spec, f"the model does not load: {reason}", remedy)
            ) from error
        return self._adopt(model, tokenizer)

    def _adopt(self, model: Any, tokenizer: Any) -> _Loaded:
        """The model with its limits; its own generation defaults are dropped, ours are complete."""
        stated = model.generation_config.eos_token_id
        stated = stated if isinstance(stated, list) else [stated]
        eos_ids = frozenset(id_ for id_ in (*stated, tokenizer.eos_token_id) if id_ is not None)
        model.generation_config = type(model.generation_config)()
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        encoder = ChatEncoder(
            tokenizer,
            fingerprint_tokenizer(tokenizer, self.fingerprint),
            self._chat_template,
            self.spec,
            context=context or sys.maxsize,
            template_arguments=self._thinking.template_arguments,
        )
        pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        return _Loaded(model, encoder, eos_ids, pad_id)
