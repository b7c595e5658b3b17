"""Models of families that no formula knows: built by transformers on a device that holds nothing."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from constitution.problems import brief
from engine.sizing.shape import MOST_LAYERS, ModelShape, UnknownShape, shape_from_count

__all__ = ["counted_shape"]


def counted_shape(config: Mapping[str, Any]) -> ModelShape:
    """Parameters counted on the `meta` device; what is not a number of parameters comes from the
    configuration where it says so, else from the count.

    No code that comes with a model is run. Raises UnknownShape where transformers cannot build it,
    and ImportError without transformers and torch.
    """
    import torch
    import transformers

    if config.get("auto_map"):
        raise UnknownShape("it brings code of its own, which a plan does not run")
    layers = config.get("num_hidden_layers", 1)
    if not isinstance(layers, int) or layers > MOST_LAYERS:
        raise UnknownShape("its number of layers is none")
    try:
        known = transformers.AutoConfig.for_model(**{
            **config,
            "model_type": str(config["model_type"]),
        })
        causal: Any = transformers.AutoModelForCausalLM
        with torch.device("meta"):
            model = causal.from_config(known)
    except Exception as error:  # noqa: BLE001  each family checks its configuration in its own way
        raise UnknownShape(f"transformers cannot build it: {brief(error, 120)}") from None
    count = sum(parameter.numel() for parameter in model.parameters())
    head = model.get_output_embeddings()
    return _with_values(
        shape_from_count(count),
        known.get_text_config(),
        head=head.weight.numel() if head is not None else 0,
        linear=sum(p.numel() for n, p in model.named_parameters() if p.ndim > 1 and "emb" not in n),
    )


def _with_values(shape: ModelShape, known: Any, *, head: int, linear: int) -> ModelShape:
    """What a configuration of any family says under its usual names."""

    def said(name: str, otherwise: int) -> int:
        value = getattr(known, name, None)
        return value if isinstance(value, int) and value > 0 else otherwise

    hidden = said("hidden_size", shape.hidden)
    heads = said("num_attention_heads", max(1, hidden // 128))
    key_heads = said("num_key_value_heads", heads)
    width = said("head_dim", max(1, hidden // heads))
    return replace(
        shape,
        head=head,
        linear=linear,
        layers=said("num_hidden_layers", shape.layers),
        hidden=hidden,
        inner=said("intermediate_size", 4 * hidden),
        queries=heads * width,
        keys=key_heads * width,
        key_heads=key_heads,
        context=said("max_position_embeddings", 0) or None,
    )
