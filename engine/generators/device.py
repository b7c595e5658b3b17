"""What the device at hand computes in."""

from pathlib import Path

__all__ = ["has_bfloat16", "serving_dtype"]


def has_bfloat16() -> bool:
    """Whether the GPU computes in bfloat16; torch alone would also say so where it is emulated."""
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def serving_dtype(model: str | Path, device: str) -> str:
    """What transformers should load a model in: float32 on a CPU; on a GPU as it was saved, but float16
    where that is bfloat16 and the GPU only emulates it (T4, V100), which takes several times as long.

    Raises OSError and ValueError as transformers does for a model without a configuration.
    """
    if device == "cpu":
        return "float32"
    if has_bfloat16():
        return "auto"
    import torch
    from transformers import AutoConfig

    saved = AutoConfig.from_pretrained(model, trust_remote_code=False).dtype
    return "float16" if saved == torch.bfloat16 else "auto"
