"""Identity of a model's files, without loading them: what the completion cache keys on."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constitution.reading import parse_json, read_bytes

__all__ = ["MadeModel", "fingerprint_model", "fingerprint_tokenizer", "uses_gpu"]

_TEXT = frozenset({".jinja", ".json", ".model", ".py", ".txt"})
"""Configuration, tokenizer, chat template and custom code: hashed in full."""
_WEIGHTS = frozenset({".bin", ".gguf", ".pt", ".pth", ".safetensors"})
_CHUNK = 64 * 1024
_CHUNKS = 64


@dataclass(frozen=True, slots=True)
class MadeModel:
    """A model directory that is made at its first use, and its identity, known before."""

    fingerprint: str
    make: Callable[[], Path]


def fingerprint_model(name_or_path: str | Path | MadeModel, **options: object) -> str:
    """Hash (16 hex digits) of a model and of the options that move its answers.

    A local directory counts by its content, wherever it lies: weights by size and by 64 chunks of
    64 KiB spread evenly, since training moves every weight and reading all takes minutes. A hub
    name counts by itself; give `revision` as an option where it must be exact.
    """
    if isinstance(name_or_path, MadeModel):
        return name_or_path.fingerprint
    path = Path(name_or_path).expanduser()
    content = _local(path) if path.exists() else str(name_or_path)
    canonical = json.dumps([content, options], sort_keys=True, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def fingerprint_tokenizer(tokenizer: Any, otherwise: str) -> str:
    """Hash (16 hex digits) of a fast tokenizer's vocabulary and rules, `otherwise` of a slow one.

    Checkpoints of one model share it, so that one may score the very tokens another sampled.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return otherwise
    rules = parse_json(backend.to_str())
    rules["padding"] = rules["truncation"] = None  # settings of the last call, no rules
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:16]


def _local(path: Path) -> list[list[str]]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [
        [file.name if path.is_dir() else "", _digest(file)]
        for file in files
        if file.is_file() and file.suffix in _TEXT | _WEIGHTS
    ]


def _digest(file: Path) -> str:
    if file.suffix in _TEXT:
        return hashlib.sha256(read_bytes(file)).hexdigest()
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as stream:
        for offset in _offsets(size):
            stream.seek(offset)
            digest.update(stream.read(_CHUNK))
    return digest.hexdigest()


def _offsets(size: int) -> list[int]:
    """Where the sampled chunks begin: the first at the start, the last up to the end."""
    if size <= _CHUNK * _CHUNKS:
        return list(range(0, size, _CHUNK))
    return [(size - _CHUNK) * index // (_CHUNKS - 1) for index in range(_CHUNKS)]


def uses_gpu() -> bool:
    """Whether torch sees a CUDA or ROCm device."""
    import torch

    return bool(torch.cuda.is_available())
