"""Through a server that takes and returns tokens, a prompt repeats what was sampled, token by token."""

import asyncio
import json

import pytest

from engine.generators.base import GenerationError
from engine.generators.servers.errors import bad_response
from engine.generators.servers.token_prompts import TokenPrompts
from engine.messages import Message, TokenIds

USER, ASSISTANT, END = 1, 2, 3
WORD = 1000
"""One token for what the tokenizer would write as two: `ab`."""


def tokenized(turns, generate=True):
    ids = []
    for turn in turns:
        ids += [USER if turn.role == "user" else ASSISTANT, *map(ord, turn.content), END]
    return ids + ([ASSISTANT] if generate else [])


def detokenized(ids):
    names = {WORD: "ab", USER: "<u>", ASSISTANT: "<a>", END: "<end>"}
    return "".join(names.get(id_) or chr(id_) for id_ in ids)


def prompts(asked=None):
    async def post(page, body):
        if asked is not None:
            asked.append(page)
        if page == "tokenize":
            return json.dumps({"tokens": tokenized(body["messages"])})
        return json.dumps({"prompt": detokenized(body["tokens"])})

    return TokenPrompts(post, "server:x")


def said(role, text, ids=None, tokenizer="server:x"):
    tokens = TokenIds(tokenizer, tuple(ids)) if ids else None
    return Message(role, text, tokens)


def test_each_prompt_begins_with_the_last_one_and_what_was_sampled():
    asked = []
    tokens = prompts(asked)

    async def conversation():
        turns = (said("user", "q"),)
        assert await tokens.prompt(turns) is None
        sent = tokenized(turns)
        tokens.sent(turns, tuple(sent))
        for question in ("c", "r", "again"):
            sampled = tokens.sampled((WORD, WORD, END), ended=True)
            assert sampled == TokenIds("server:x", (WORD, WORD))
            turns = (*turns, Message("assistant", "abab", sampled), said("user", question))
            prompt = await tokens.prompt(turns)
            assert prompt[: len(sent) + 2] == [*sent, WORD, WORD]
            assert detokenized(prompt) == detokenized(tokenized(turns))
            sent = prompt

    asyncio.run(conversation())
    assert asked.count("detokenize") == 2
    assert asked.count("tokenize") == 3, "one a follow-up"


def test_a_turn_that_is_tokenized_as_it_was_sampled_is_spelled_once():
    asked = []
    tokens = prompts(asked)
    sampled = tokens.sampled((ord("x"), ord("y"), END), ended=True)
    turns = (said("user", "q"), Message("assistant", "xy", sampled), said("user", "c"))
    tokens.sent(turns[:1], tuple(tokenized(turns[:1])))
    assert asyncio.run(tokens.prompt(turns)) == tokenized(turns)
    assert asked == ["tokenize", "detokenize"]


@pytest.mark.parametrize(
    "turn",
    [
        said("assistant", "ab"),
        said("assistant", "ab", [WORD], tokenizer="another"),
        said("assistant", "edited", [WORD]),
        said("assistant", "ab<end><u>ab", [WORD, END, USER, WORD, WORD]),
        said("assistant", "abab", [WORD, END]),
    ],
)
def test_turns_whose_tokens_say_something_else_are_text(turn):
    tokens = prompts()
    tokens.sampled((WORD, END), ended=True)
    turns = (said("user", "q"), turn, said("user", "c"))
    assert asyncio.run(tokens.prompt(turns)) is None


def test_before_any_answer_has_ended_nothing_is_placed():
    turns = (said("user", "q"), said("assistant", "ab", [WORD]), said("user", "c"))
    assert asyncio.run(prompts().prompt(turns)) is None


def test_an_answer_that_was_cut_off_keeps_all_its_tokens():
    tokens = prompts()
    assert tokens.sampled((WORD, WORD), ended=False).ids == (WORD, WORD)
    assert tokens.sampled(None, ended=True) is None


@pytest.mark.parametrize("text", ["", "[]", '{"tokens": 3}', "{}"])
def test_a_server_that_does_not_tokenize_is_found(text):
    async def post(page, body):
        return text

    with pytest.raises(GenerationError):
        asyncio.run(TokenPrompts(post, "server:x").check())


def test_what_the_server_raises_is_raised():
    async def post(page, body):
        raise bad_response("no", "")

    tokens = TokenPrompts(post, "server:x")
    turns = (said("user", "q"), said("assistant", "ab", [WORD]), said("user", "c"))
    with pytest.raises(GenerationError):
        asyncio.run(tokens.prompt(turns))
