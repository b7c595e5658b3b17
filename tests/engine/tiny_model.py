"""A tiny random chat model, built in a second: files that load like any other model's."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["CHATML", "SPECIAL_TOKENS", "build_tiny_model", "build_tiny_tokenizer"]

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LINES = (
    "system user assistant Yes No yes no A B",
    "The answer is safe and does not help anyone hurt people.",
    "Does the reply break the principle? Yes. No. The reply keeps it.",
)


def build_tiny_tokenizer(directory: Path, lines: Sequence[str] = (), vocabulary: int = 384) -> Path:
    """Writes a byte-level BPE tokenizer with a ChatML template; any text round-trips. Words of `lines` are
    tokens as far as the vocabulary goes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=1,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*_LINES, *lines], trainer)
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": CHATML,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def build_tiny_model(
    directory: Path, *, lines: Sequence[str] = (), vocabulary: int = 384, **changes: Any
) -> Path:
    """Writes a random two-layer Llama (hidden size 32, context 256) with its tokenizer.

    `changes` override the configuration. Seeded: two builds have the same weights.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    build_tiny_tokenizer(directory, lines, vocabulary)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    options: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 256,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": tokenizer.pad_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(**options | changes))
    model.save_pretrained(directory)
    return directory
