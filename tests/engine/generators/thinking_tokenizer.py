"""The tiny tokenizer with the tokens by which models mark their reasoning."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.generators.chat_template import ChatEncoder
from tests.engine.tiny_model import CHATML, build_tiny_tokenizer

__all__ = ["MARKS", "OPENED", "encoder", "ids_of", "tokenizer"]

MARKS = (
    "[THINK]", "[/THINK]", "<|START_THINKING|>", "<|END_THINKING|>", "<|START_RESPONSE|>",
    "<|END_RESPONSE|>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>",
)  # fmt: skip
"""Special, so that decoding leaves them out."""
OPENED = CHATML.replace("assistant\n", "assistant\n<think>\n")
"""A template that opens the thought itself."""


@cache
def tokenizer() -> Any:
    """Of tests that only read it."""
    from transformers import PreTrainedTokenizerFast

    with TemporaryDirectory() as directory:
        made = PreTrainedTokenizerFast.from_pretrained(build_tiny_tokenizer(Path(directory)))
    made.add_tokens(list(MARKS), special_tokens=True)
    made.add_tokens(["<think>", "</think>"])
    return made


@cache
def encoder(template: str | None = None, context: int = 10_000) -> ChatEncoder:
    """Of the tokenizer, with its own template or another."""
    return ChatEncoder(tokenizer(), "tiny", template, "--model", context=context)


def ids_of(text: str) -> list[int]:
    """Token ids of a model's output, marks and all."""
    return list(tokenizer().encode(text, add_special_tokens=False))
