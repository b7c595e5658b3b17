"""Rows are rendered for training as the engine renders conversations."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.generators.chat_template import ChatEncoder
from engine.messages import Message, to_dicts
from tests.engine.tiny_model import build_tiny_tokenizer
from training.trainers.scorers import AnswerScore, RewardModelScorer, Sample
from training.trainers.tokenized import ChatTokens, reward_tokens, sft_tokens

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


def test_a_reward_model_reads_an_answer_as_it_was_trained_to(chat):
    turns = (Message("system", "Be brief <|im_end|>."), Message("user", "Why?"))
    scorer = RewardModelScorer(Path("reward"), "cpu")
    scorer._model, scorer._chat = SimpleNamespace(config=SimpleNamespace()), ChatTokens(chat)
    read = []
    scorer._rewards = lambda batch: read.extend(batch) or [0.7] * len(batch)
    answers = [Sample("a", turns, "Ice."), Sample("b", turns, "")]
    assert asyncio.run(scorer.score(answers)) == [AnswerScore(0.7), AnswerScore(0.0)]
    row = {"prompt": to_dicts(turns), "chosen": to_dicts(answers[0].conversation[-1:])}
    ((columns, _),) = reward_tokens(
        [row | {"rejected": row["chosen"], "truncated": False, "probability": 1.0}],
        ChatTokens(chat),
    )
    assert read == [columns["chosen_ids"]]
