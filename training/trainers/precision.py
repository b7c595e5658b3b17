"""What is computed in, and what weights are kept in.

Weights that are trained are of 32 bits (16 are then computed in by autocast), as an update is often too
small for a weight of 16. Frozen ones, under LoRA, are of the computing precision, or of 4 bits.
"""

from typing import Any, Literal

from engine.generators.device import has_bfloat16
from engine.generators.fingerprint import uses_gpu
from training.trainers.base_config import TrainingConfig

__all__ = ["Computing", "Kind", "computing_dtype", "in_four_bits", "weights_dtype"]

Kind = Literal["causal", "reward"]
"""A model that writes, or one with a head that gives a reward."""
Computing = Literal["bfloat16", "float16", "float32"]


def computing_dtype(config: TrainingConfig) -> Computing:
    """What matrices are multiplied in. By itself bfloat16 on a GPU that has it; float16, with a scaled
    loss, on one that only emulates it (T4, V100), which takes several times as long; else float32."""
    if config.dtype != "auto":
        return config.dtype
    if not uses_gpu():
        return "float32"
    return "bfloat16" if has_bfloat16() else "float16"


def weights_dtype(config: TrainingConfig, kind: Kind) -> Computing:
    """Of a base in 4 bits the type of what is left whole: embeddings, norms, the head.

    A reward model's head is trained beside the adapter, and gradients in float16 cannot be scaled.
    """
    if config.lora is None or (kind == "reward" and computing_dtype(config) == "float16"):
        return "float32"
    return computing_dtype(config)


def in_four_bits(computing: Computing, kind: Kind) -> Any:
    """For transformers: NF4 with constants quantised in turn (Dettmers et al. 2023, arXiv 2305.14314,
    section 3), 4.127 bits a weight. Heads keep their type, since a reward model's is trained."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, computing),
        llm_int8_skip_modules=["lm_head", "score"] if kind == "reward" else None,
    )
