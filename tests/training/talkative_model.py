"""A tiny model that answers anything with a few words and stops: enough to walk a pipeline.

Nothing is trained: attention and MLP add nothing, embeddings are one-hot, and the head holds the
log-probabilities of a Markov chain over words, so what comes next depends on the last token alone.
"""

import math
from pathlib import Path

from tests.engine.tiny_model import build_tiny_model

__all__ = ["build_talkative_model"]

_STOP = 0.15
"""Probability of ending the answer after a word."""


def build_talkative_model(directory: Path) -> Path:
    """Writes the model and its tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    build_tiny_model(directory, hidden_size=384, num_hidden_layers=1, max_position_embeddings=4096)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory)
    size = model.config.vocab_size
    decoded = {id: tokenizer.decode([id]).strip() for id in range(size)}
    words = [id for id, text in decoded.items() if text.isalpha() and len(text) > 1]
    chain = torch.full((size, size), -20.0)
    chain[:, words] = math.log((1 - _STOP) / len(words))
    chain[words, tokenizer.eos_token_id] = math.log(_STOP)
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size, model.config.hidden_size))
        model.lm_head.weight.zero_()
        # The norm makes a one-hot vector of size n as long as the root of n.
        model.lm_head.weight[:, :size] = chain.T / math.sqrt(model.config.hidden_size)
    model.save_pretrained(directory)
    return directory
