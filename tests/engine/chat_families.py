"""Every chat template that TRL ships, and small ones in the style of each big family, with a tokenizer that
has the control tokens of all of them."""

import importlib.util
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.generators.control_tokens import GENERAL, Neutraliser
from tests.engine.tiny_model import build_tiny_tokenizer

__all__ = ["OURS", "PLAIN", "TEMPLATES", "TEXTS", "shipped", "tokenizer"]

OURS = Path(__file__).parents[1] / "data" / "chat_templates"


def shipped() -> list[Path]:
    """TRL's own, where it is installed."""
    found = importlib.util.find_spec("trl")
    places = found.submodule_search_locations if found else None
    return sorted((Path(places[0]) / "chat_templates").glob("*.jinja")) if places else []


TEMPLATES = {path.stem: path for path in [*shipped(), *sorted(OURS.glob("*.jinja"))]}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in TEMPLATES.items()}
PLAIN = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Added without being special, as Qwen 3 has them."""


@cache
def tokenizer() -> Any:
    """The tiny one with the control tokens of every template."""
    from transformers import PreTrainedTokenizerFast

    with TemporaryDirectory() as directory:
        made = PreTrainedTokenizerFast.from_pretrained(build_tiny_tokenizer(Path(directory)))
    general = Neutraliser(GENERAL)
    spelled = {
        found
        for text in TEXTS.values()
        for found in re.findall(r"[<\[][^\s<>\[\]'\"{}()]{1,40}[>\]]", text)
        if general.neutralise(found) != found
    }
    made.add_tokens(list(PLAIN))
    made.add_tokens(sorted({"<s>", "</s>", *spelled}.difference(PLAIN)), special_tokens=True)
    made.bos_token, made.eos_token = "<s>", "</s>"
    return made
