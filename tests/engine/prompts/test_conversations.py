"""Conversations in the forms that public data has them, as lists and as texts."""

import csv
import json

import pytest

from engine.prompts.rows import BadPrompt, Columns, parse_prompt
from engine.prompts.sources import open_prompts, prompts_from
from engine.prompts.written_turns import written_conversation
from tests.engine.prompts.test_prompts import ASSISTANT, SYSTEM, USER, problems_of, write_jsonl

HH = "\n\nHuman: Which knot?\n\nAssistant: A bowline.\n\nHuman: How?\nStep by step.\n\nAssistant: So."
TURNS = [("user", "Which knot?"), ("assistant", "A bowline."), ("user", "How?\nStep by step.")]
LIST = json.dumps([USER, ASSISTANT, USER])


def turns(row, format=None, **columns):
    draft = parse_prompt(row, Columns(format=format, **columns))
    return [(message.role, message.content) for message in draft.messages]


def refused(row, format=None, **columns):
    with pytest.raises(BadPrompt) as caught:
        turns(row, format, **columns)
    return f"{caught.value.what}; {caught.value.remedy}"


def sharegpt(*said):
    speakers = {"s": "system", "h": "human", "g": "gpt", "u": "user", "c": "chatgpt"}
    return [{"from": speakers[who], "value": text} for who, text in said]


# ShareGPT ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["conversations", "conversation", "messages", "prompt"])
def test_sharegpt_is_read(column):
    row = {column: sharegpt("sa", "hb", "gc", "ud"), "source": "x"}
    assert turns(row) == [("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]


def test_sharegpt_with_a_system_column():
    assert turns({"conversations": sharegpt("hq"), "system": "s"})[0] == ("system", "s")


def test_a_prompt_is_the_prompt_even_beside_a_conversation():
    draft = parse_prompt({"prompt": "q", "conversations": sharegpt("hx")}, Columns())
    assert draft.messages[0].content == "q" and "conversations" in draft.extra


def test_an_answer_at_the_end_is_left_out_where_that_is_asked_for():
    row = {"conversations": sharegpt("ha", "gb", "hc", "cd")}
    told = refused(row)
    assert "ends with an assistant turn" in told and "--prompt-format conversation" in told
    assert turns(row, "conversation") == [("user", "a"), ("assistant", "b"), ("user", "c")]
    assert turns({"messages": [USER, ASSISTANT]}, "conversation") == [("user", "q")]
    assert turns({"messages": [USER]}, "conversation") == [("user", "q")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {"conversations": [{"from": "tool", "value": "x"}]},
            "message 1 is from the unknown 'tool'",
        ),
        ({"conversations": [{"from": 3, "value": "x"}]}, "message 1 is from the unknown 3"),
        ({"conversations": [{"from": "human", "value": None}]}, "content of message 1 is null"),
        ({"conversations": []}, "has no 'prompt' or 'messages'; it has 'conversations'"),
        ({"conversations": "plain"}, "if the prompt is in 'conversations', add --prompt-column"),
        ({"conversation": None}, "if the prompt is in 'conversation', add --prompt-column"),
    ],
)
def test_wrong_sharegpt_is_told(row, expected):
    assert expected in refused(row)


# Written as text -----------------------------------------------------------------------------------

WRITTEN = [
    (HH, "a transcript"),
    ("Human: a\nAssistant: b\nHuman: c", "a transcript"),
    ("User: a\n\nAssistant:", "a transcript"),
    (LIST, "a JSON list of messages"),
    (f" {json.dumps(sharegpt('ha'), indent=1)}\n", "a JSON list of messages"),
    (str([USER]), "a list as Python prints it"),
    ("[{'role': 'user', 'content': 'a'}\n {'role': 'user'}]", "a list as Python prints it"),
]


@pytest.mark.parametrize(("text", "how"), WRITTEN)
@pytest.mark.parametrize("column", ["prompt", "messages", "conversations", "ask"])
def test_a_conversation_as_text_is_offered_and_never_one_user_turn_unasked(text, how, column):
    named = {"prompt": column} if column == "ask" else {}
    told = refused({column: text}, **named)
    assert told.startswith(f"{column!r} holds a conversation as text ({how})") or (
        column == "conversations" and how in told
    )
    assert "add --prompt-format conversation" in told
    assert turns({"prompt": text}, "text") == [("user", text)]


@pytest.mark.parametrize(
    "text",
    [
        "What is a human: a body or a mind?",
        "Human: how many bones does one have?",
        "Write a dialogue.\n\nHuman: ...\n\nAssistant: ...",
        "Assistant: is that a job?",
        "[1, 2, 3] sorted",
        "[]",
        '[{"a": 1}]',
        '[{"role": "user"}]',
        f"{LIST} What does this list say?",
        "[{'role': 'user', 'content': 'a'}] What is this?",
        "array([1, 2])",
        "",
    ],
)
def test_a_text_that_only_mentions_a_conversation_is_a_text(text):
    assert written_conversation(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HH, TURNS),
        (HH.removesuffix("\n\nAssistant: So."), TURNS),
        (HH.removesuffix(" So."), TURNS),
        (HH.replace("\n\nHuman", "\r\n\r\nHuman"), TURNS),
        ("Human: a\nAssistant: b\nHuman: c", [("user", "a"), ("assistant", "b"), ("user", "c")]),
        ("User: a\n\nAssistant:", [("user", "a")]),
        (
            "Human: a\nAssistant: said in a line\n\nAssistant: b",
            [("user", "a\nAssistant: said in a line")],
        ),
        (LIST, [("user", "q"), ("assistant", "r"), ("user", "q")]),
        (json.dumps([SYSTEM, USER, ASSISTANT]), [("system", "s"), ("user", "q")]),
        (json.dumps(sharegpt("hq", "ga")), [("user", "q")]),
        (str([{"role": "user", "content": "don't \\d"}]), [("user", "don't \\d")]),
    ],
)
def test_a_conversation_as_text_is_read_where_that_is_asked_for(text, expected):
    assert turns({"prompt": text}, "conversation") == expected
    assert turns({"ask": [text]}, "conversation", prompt="ask") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How are you?", "'prompt' is a text and no conversation; write a JSON list"),
        ("[{'role': 'user', 'content': 'a'}\n {'role': 'user'}]", "cannot be read with certainty"),
        ("Human: a\n\nHuman: b\n\nAssistant: c", "message 2 is 'user' where 'assistant' is"),
        ("Human:\n\nAssistant: c", "message 1 is empty"),
        (json.dumps([{"role": "human", "content": "q"}]), "unknown role 'human'; write 'user'"),
    ],
)
def test_what_is_no_conversation_is_told_where_one_is_asked_for(text, expected):
    assert expected in refused({"prompt": text}, "conversation")


def test_a_cell_of_a_table_may_hold_a_conversation(tmp_path):
    path = tmp_path / "p.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "messages"], [1, LIST]])
    assert problems_of(path) == (
        f"{path}:row 1: 'messages' holds a conversation as text (a JSON list of messages); "
        "add --prompt-format conversation to read its turns, or --prompt-format text to send it as "
        "one user turn"
    )
    as_turns = open_prompts(path, prompt_format="conversation")
    as_text = open_prompts(path, prompt_format="text")
    assert [len(prompt.messages) for source in (as_turns, as_text) for prompt in source] == [3, 1]
    assert as_turns.hash != as_text.hash


def test_a_text_given_in_python_is_a_text():
    (prompt,) = prompts_from([HH])
    assert prompt.messages[0].content == HH


# Implicit prompts ----------------------------------------------------------------------------------


def test_the_prompt_of_two_whole_conversations_is_how_both_begin():
    other = {"role": "assistant", "content": "worse"}
    row = {"chosen": [SYSTEM, USER, ASSISTANT], "rejected": [SYSTEM, USER, other]}
    assert turns(row) == [("system", "s"), ("user", "q")]
    row = {"chosen": [USER, ASSISTANT, USER, ASSISTANT], "rejected": [USER, other, USER, other]}
    assert turns(row) == [("user", "q")]
    draft = parse_prompt(row, Columns())
    assert draft.extra == row


def test_transcripts_are_implicit_prompts_where_that_is_asked_for():
    row = {"chosen": HH, "rejected": HH.replace("So.", "No.")}
    assert refused(row) == (
        "'chosen' holds a conversation as text (a transcript); "
        "add --prompt-format conversation to take the prompt from it"
    )
    assert turns(row, "conversation") == TURNS
    assert turns(row | {"rejected": "No."}, "conversation") == TURNS
    assert turns(row, "conversation", prompt="chosen") == TURNS
    assert turns(row, "text", prompt="chosen") == [("user", HH)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"chosen": "Yes.", "rejected": "No."}, "has no 'prompt' or 'messages'; it has 'chosen'"),
        (
            {"chosen": [USER, ASSISTANT], "rejected": [SYSTEM, USER, ASSISTANT]},
            "do not begin alike",
        ),
        (
            {"chosen": [USER], "rejected": [USER]},
            "'chosen' does not end with the assistant's answer",
        ),
        ({"chosen": [ASSISTANT], "rejected": [ASSISTANT]}, "do not begin alike"),
    ],
)
def test_what_holds_no_implicit_prompt_is_told(row, expected):
    assert expected in refused(row)


def test_a_system_column_is_the_first_turn(tmp_path):
    path = write_jsonl(tmp_path / "p.jsonl", [{"prompt": "q", "system": "s"}, {"prompt": "r"}])
    first, second = open_prompts(path)
    assert [message.role for message in first.messages] == ["system", "user"]
    assert [message.role for message in second.messages] == ["user"]
    assert first.extra == second.extra == {}
