"""Models for the check of a GPU: random ones, built in place, so that nothing is fetched."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.engine.tiny_model import build_tiny_model, build_tiny_tokenizer

__all__ = ["SHAPES", "build_adapter", "build_shapes", "build_small_model"]

SHAPES = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "dtype": "bfloat16",
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
    "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
    "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "hidden_act": "silu",
    "tie_word_embeddings": False, "use_cache": True, "bos_token_id": None,
}  # fmt: skip
"""Of Qwen2.5-7B, without its weights."""


def build_small_model(folder: Path, seed: int = 0) -> Path:
    """With heads as wide as real ones, and weights far enough from 0 to prefer some tokens."""
    import torch
    from transformers import AutoModelForCausalLM

    build_tiny_model(
        folder, hidden_size=256, intermediate_size=512, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.06)
    model.save_pretrained(folder)
    return folder


def build_adapter(base: Path, folder: Path) -> Path:
    """One that moves the model's answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=24, target_modules=["q_proj", "v_proj"]),
    )
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.1)
    model.save_pretrained(folder)
    return folder


def build_shapes(folder: Path, layers: int, **changes: Any) -> Path:
    """A directory that vLLM loads with random weights: the tokenizer is the embedded model's where that
    is installed, so that texts have about as many tokens as with a real one."""
    folder.mkdir(parents=True)
    try:
        from engine.generators.embedded import embedded_model

        for file in embedded_model().glob("*token*"):
            shutil.copy(file, folder)
        shutil.copy(embedded_model() / "chat_template.jinja", folder)
    except Exception:  # noqa: BLE001  whatever keeps it from being made here
        build_tiny_tokenizer(folder)  # of 384 tokens: a model with more would write what is no text
        changes |= {"vocab_size": 384}
    described = {**SHAPES, "num_hidden_layers": layers, "eos_token_id": 2, **changes}
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder
