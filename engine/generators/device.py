"""Models that only answer, loaded by transformers onto the device at hand, and what it computes in."""

from pathlib import Path
from typing import Any

from engine.generators.fingerprint import uses_gpu

__all__ = ["AS_IT_IS", "has_bfloat16", "load_frozen", "serving_dtype"]

AS_IT_IS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""A model's directory is read without asking a hub, and without running code in it."""


def has_bfloat16() -> bool:
    """Whether the GPU computes in bfloat16; torch alone would also say so where it is emulated."""
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def serving_dtype(model: str | Path, device: str, **where: Any) -> str:
    """What transformers should load a model in: float32 on a CPU; on a GPU as it was saved, but float16
    where that is bfloat16 and the GPU only emulates it (T4, V100), which takes several times as long.

    `where` is which of its files are meant, as transformers calls it. Raises OSError and ValueError
    as transformers does for a model without a configuration.
    """
    if device == "cpu":
        return "float32"
    if has_bfloat16():
        return "auto"
    import torch
    from transformers import AutoConfig

    saved = AutoConfig.from_pretrained(model, **{"trust_remote_code": False, **where}).dtype
    return "float16" if saved == torch.bfloat16 else "auto"


def load_frozen(
    auto_class: Any,
    model: str | Path,
    device: str | None = None,
    *,
    dtype: str | None = None,
    **where: Any,
) -> tuple[Any, Any]:
    """The tokenizer of a model that is not trained, and the model, in evaluation mode.

    `auto_class` is the class of transformers that loads it; `device` is the GPU if there is one, and
    `dtype` that of `serving_dtype`, unless given; `where` (`revision`, `local_files_only`) is which
    of its files are meant. Raises OSError and ValueError as transformers does.
    """
    from transformers import AutoTokenizer

    device = device or ("cuda" if uses_gpu() else "cpu")
    # Left out, `trust_remote_code` is a question to whoever sits at the terminal.
    where = {"trust_remote_code": False, **where}
    tokenizer = AutoTokenizer.from_pretrained(model, **where)
    dtype = dtype or serving_dtype(model, device, **where)
    loaded = auto_class.from_pretrained(model, dtype=dtype, **where)
    return tokenizer, loaded.to(device).eval()
