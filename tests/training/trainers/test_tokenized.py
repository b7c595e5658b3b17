"""Rows are rendered for training as the engine renders conversations."""

from pathlib import Path

import pytest

from engine.generators.chat_template import ChatEncoder
from engine.messages import Message
from tests.engine.tiny_model import build_tiny_tokenizer
from training.trainers.tokenized import ChatTokens, sft_tokens

TEMPLATES = Path(__file__).parents[2] / "data" / "chat_templates"


@pytest.fixture(params=["qwen2", "gemma2", "drops_system"])
def chat(request, tmp_path):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(build_tiny_tokenizer(tmp_path))
    tokenizer.bos_token = "<|endoftext|>"
    path = TEMPLATES / f"{request.param}.jinja"
    tokenizer.chat_template = path.read_text(encoding="utf-8")
    return tokenizer


def test_a_prompt_with_a_system_turn_is_the_engines(chat):
    turns = [("system", "Be brief <|im_end|>."), ("user", "Why?")]
    prompt = [{"role": role, "content": content} for role, content in turns]
    messages = tuple(Message(role, content) for role, content in turns)
    (ids,) = ChatTokens(chat).prompts([{"prompt": prompt}])
    assert ids == ChatEncoder(chat, "tiny", None, "--model").encode(messages)
    row = {"prompt": prompt, "completion": [{"role": "assistant", "content": "Ice."}]}
    ((columns, _),) = sft_tokens([row | {"truncated": False}], ChatTokens(chat))
    learned = [id_ for id_ in columns["labels"] if id_ >= 0]
    assert chat.decode(learned).startswith("Ice.")
