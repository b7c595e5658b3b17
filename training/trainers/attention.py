"""Which attention a training computes with, and so whether rows may share a sequence.

| `attention` | what computes it | rows of a sequence are kept apart by |
|---|---|---|
| `flash` | FlashAttention 2 of the package flash-attn | where each begins |
| `kernel` | the same, fetched from the hub by the package kernels | where each begins |
| `varlen` | the FlashAttention 2 that comes with torch (SFT alone) | where each begins |
| `sdpa` | torch's scaled dot product | a mask over all of the sequence |

By itself: `flash` where it is installed, else `varlen`, both on a GPU that computes in bfloat16, and of
`varlen` only if it gives what `sdpa` gives there; else, and for models that know neither, `sdpa`. Nothing
is fetched unless it is asked for. With `sdpa` a sequence of T tokens costs T × T whatever is in it, so that
rows do not share one by themselves there.
"""

import functools
import importlib.util
import inspect
import os
from typing import TYPE_CHECKING, Any

from constitution.problems import InputError, Problem
from engine.generators.device import has_bfloat16
from engine.generators.fingerprint import uses_gpu
from engine.generators.model_files import base_of, local_name
from training.trainers.config import SFTTrainingConfig, TrainingConfig
from training.trainers.precision import Kind, computing_dtype

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NAMES", "attention_of", "keeps_rows_apart", "register_varlen", "varlen_attention"]

NAMES = {
    "flash": "flash_attention_2",
    "kernel": "kernels-community/flash-attn2",
    "varlen": "solon_varlen",
    "sdpa": "sdpa",
}
"""What transformers calls them."""
_WIDEST_HEAD = 256
"""Of FlashAttention 2."""
_UNLIKE = ("attn_logit_softcapping", "attention_chunk_size", "kv_lora_rank", "attention_dropout")
"""Values of a configuration whose models need more than `varlen` computes."""
_TOLERANCE = 2e-2
"""Of bfloat16, which has 8 bits, between two ways to sum up."""


def attention_of(config: TrainingConfig, base: str, kind: Kind) -> str | None:
    """What transformers calls the attention of a model; None where it is its own choice.

    Raises InputError for one that was asked for and cannot be had.
    """
    chosen: str | None = config.attention
    if chosen == "auto":
        chosen = _best(config, base, kind)
    elif problem := _why_not(config, base, kind):
        raise InputError(Problem(f"attention: {chosen}", *problem))
    if chosen == "varlen":
        register_varlen()
    return NAMES[chosen] if chosen else None


def keeps_rows_apart(config: TrainingConfig) -> bool:
    """Whether rows can share a sequence without seeing each other, at no cost."""
    if config.attention != "auto":
        return config.attention != "sdpa"
    return _best(config, base_of(local_name(config.model)), "causal") is not None


def _best(config: TrainingConfig, base: str, kind: Kind) -> str | None:
    if not _computes_in_16_bits(config) or not has_bfloat16():
        return None
    flash = importlib.util.find_spec("flash_attn") is not None
    packs = isinstance(config, SFTTrainingConfig) and config.packing is not False
    if not flash and not packs:
        return None
    known = _class_and_values(config, base, kind)
    if known is None or not known[0]._supports_flash_attn:
        return None
    if flash:
        return "flash"
    return "varlen" if _computes_plainly(*known) and varlen_is_right() else None


def _why_not(config: TrainingConfig, base: str, kind: Kind) -> tuple[str, str] | None:
    """What keeps the attention that was asked for from being used, and the remedy."""
    if config.attention == "sdpa":
        return None
    if not _computes_in_16_bits(config) or not has_bfloat16():
        return "needs a GPU that computes in bfloat16, and 16 bits to compute in", "take it out"
    package = {"flash": ("flash_attn", "flash-attn"), "kernel": ("kernels", "kernels")}
    module, name = package.get(config.attention, ("torch", "torch"))
    if importlib.util.find_spec(module) is None:
        return f"{name} is not installed", f"pip install {name}, or take it out"
    if config.attention == "varlen":
        known = _class_and_values(config, base, kind)
        if known is None or not _computes_plainly(*known) or not varlen_is_right():
            return "does not give what sdpa gives, with this model and GPU", "take it out"
    return None


def _computes_in_16_bits(config: TrainingConfig) -> bool:
    return uses_gpu() and computing_dtype(config) != "float32"


def _class_and_values(config: TrainingConfig, base: str, kind: Kind) -> tuple[Any, Any] | None:
    """The model's class in transformers and its configuration; None for a class that comes with it."""
    from transformers import AutoConfig

    from training.trainers.models import auto_class, told

    with told(config.model):
        known = AutoConfig.from_pretrained(base, trust_remote_code=config.trust_remote_code)
    found = auto_class(kind)._model_mapping.get(type(known), None)
    return (found, known.get_text_config()) if isinstance(found, type) else None


def _computes_plainly(model_class: Any, values: Any) -> bool:
    """Whether `varlen` computes what the model does."""
    heads = max(1, getattr(values, "num_attention_heads", None) or 1)
    width = getattr(values, "head_dim", None) or getattr(values, "hidden_size", 0) // heads
    plain = not any(getattr(values, name, None) for name in _UNLIKE)
    return bool(model_class._supports_attention_backend) and plain and width <= _WIDEST_HEAD


# FlashAttention 2 of torch ------------------------------------------------------------------------


def register_varlen() -> None:
    """Make it known to transformers by its name."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAMES["varlen"], varlen_attention)
    AttentionMaskInterface.register(NAMES["varlen"], _mask)


def _mask(
    *positional: Any, attention_mask: Any = None, allow_is_causal_skip: bool = True, **named: Any
) -> Any:
    """That of `sdpa`, or an empty one for rows that share a sequence: they need none."""
    from transformers.masking_utils import sdpa_mask

    if attention_mask is None and not allow_is_causal_skip:
        import torch

        return torch.empty(0, device=named.get("device"))
    named |= {"attention_mask": attention_mask, "allow_is_causal_skip": allow_is_causal_skip}
    return sdpa_mask(*positional, **named)


def varlen_attention(
    module: Any, query: "Tensor", key: "Tensor", value: "Tensor", attention_mask: Any, **named: Any
) -> tuple["Tensor", None]:
    """As transformers' attention functions: from shape (1, heads, tokens, width) to (1, tokens, heads,
    width), where `cu_seq_lens_q` says at which token each row begins; with a mask as `sdpa` does."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    starts, packed = named.get("cu_seq_lens_q"), attention_mask is not None
    packed = packed and attention_mask.numel() == 0
    if starts is None or (attention_mask is not None and not packed):
        if packed:
            raise ValueError("the model does not hand on where rows begin: set attention to sdpa")
        return sdpa_attention_forward(module, query, key, value, attention_mask, **named)
    if any(named.get(name) is not None for name in ("softcap", "s_aux", "position_bias")):
        raise ValueError("the model's attention is not plain: set attention to sdpa")
    return _of_rows(module, (query, key, value), starts, named), None


def _of_rows(module: Any, heads: Any, starts: "Tensor", named: Any) -> "Tensor":
    from torch.nn.attention.varlen import varlen_attn
    from transformers.integrations.flash_attention import get_target_dtype

    dtype = get_target_dtype(heads[0], module) or heads[0].dtype
    query, key, value = (each[0].transpose(0, 1).to(dtype) for each in heads)
    longest, window = int(named["max_length_q"]), named.get("sliding_window")
    found: Any = varlen_attn(
        query, key, value, starts, starts, longest, longest,
        scale=named.get("scaling"),
        window_size=(-1, 0) if window is None or window >= longest else (window - 1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    attended: Tensor = found[None]
    return attended


@functools.cache
def varlen_is_right() -> bool:
    """Whether torch has it, and on this GPU it gives for two rows what `sdpa` gives for each, with
    gradients; some milliseconds."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    if "enable_gqa" not in inspect.signature(varlen_attn).parameters:
        return False
    try:
        return _agrees(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    except (RuntimeError, NotImplementedError):
        return False


def _agrees(device: str) -> bool:
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    draw = torch.Generator().manual_seed(0)
    shapes, rows = ((96, 4, 64), (96, 2, 64), (96, 2, 64)), (40, 56)

    def inputs() -> list[Any]:
        draw.manual_seed(0)
        drawn = (torch.randn(shape, generator=draw) for shape in shapes)
        return [each.to(device, torch.bfloat16).requires_grad_() for each in drawn]

    ours, theirs = inputs(), inputs()
    starts = torch.tensor([0, rows[0], sum(rows)], dtype=torch.int32, device=device)
    named: dict[str, Any] = {"cu_seq_lens_q": starts, "max_length_q": max(rows)}
    query, key, value = (each.transpose(0, 1)[None] for each in ours)
    found = varlen_attention(None, query, key, value, None, **named)[0][0]

    def alone(row: tuple[Any, ...]) -> Any:
        q, k, v = (each.transpose(0, 1)[None] for each in row)
        done = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return done[0].transpose(0, 1)

    each_row = zip(*(each.split(rows) for each in theirs), strict=True)
    expected: Any = torch.cat([alone(row) for row in each_row])
    outputs: list[Any] = [found, expected]
    for output in outputs:
        output.float().pow(2).sum().backward()
    pairs = [(found, expected), *((a.grad, b.grad) for a, b in zip(ours, theirs, strict=True))]
    return all(
        bool((a.float() - b.float()).abs().max() <= _TOLERANCE * (1 + b.float().abs().max()))
        for a, b in pairs
    )
