"""Through every chat template: what is learned, that it ends, and that its context is what is asked."""

from copy import deepcopy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.generators.chat_template import ChatEncoder
from engine.generators.reasoning import opening_at_end, split_reasoning
from engine.messages import Message, to_dicts
from tests.engine.chat_families import TEMPLATES, TEXTS, tokenizer
from training.trainers.chat_tokens import ChatTokens, turn_end
from training.trainers.tokenized import preference_tokens, sft_tokens, unpaired_tokens

every_template = pytest.mark.parametrize("name", TEMPLATES)
ANSWER = "down below"
ASKED = (Message("system", "speak like a pirate"), Message("user", "where is the rum"))
TALK = (*ASKED, Message("assistant", "aye"), Message("user", "and the gold"))
ENDS = {
    "qwen2_5": "<|im_end|>", "llama3_1": "<|eot_id|>", "gemma3": "<end_of_turn>", "phi3": "<|end|>",
    "gptoss": "<|return|>", "deepseekv3": "<｜end▁of▁sentence｜>", "exaone": "[|endofturn|]",
    "cohere": "<|END_OF_TURN_TOKEN|>", "gemma4_v5": "<turn|>", "mistral": "</s>", "glm4moe": "</s>",
}  # fmt: skip
"""The last two: of the tokenizer, where a template writes nothing, and where it writes that."""


@cache
def of(name):
    made = deepcopy(tokenizer())
    made.chat_template = TEXTS[name]
    return made


@cache
def tokens(name):
    return ChatTokens(of(name))


def row(prompt=ASKED, answer=ANSWER, truncated=False, **more):
    turns = prompt if isinstance(prompt, list) else to_dicts(prompt)
    reply = {"role": "assistant", "content": answer, **more}
    return {"prompt": turns, "completion": [reply], "truncated": truncated}


def lesson(name, given):
    ((columns, _),) = sft_tokens([given], tokens(name))
    ids, labels = columns["input_ids"], columns["labels"]
    start = labels.index(next(label for label in labels if label >= 0))
    assert labels == [-100] * start + ids[start:]
    return ids[:start], ids[start:]


@every_template
@pytest.mark.parametrize("prompt", [ASKED, TALK])
def test_the_context_is_what_the_engine_asks_and_the_answer_ends(name, prompt):
    chat = of(name)
    context, learned = lesson(name, row(prompt))
    assert context == ChatEncoder(chat, "tiny", None, "--model").encode(prompt)
    end = turn_end(chat)
    assert learned[-len(end) :] == end
    said = chat.decode(learned[: -len(end)])
    starts = tokens(name)._template.answer_start
    assert said == starts + ANSWER
    opened = opening_at_end(chat.decode(context))
    if opened or "think" in starts:
        assert split_reasoning(opened + said)[0] == ANSWER


@every_template
def test_of_an_answer_that_was_cut_off_no_end_is_learned(name):
    chat = of(name)
    _, whole = lesson(name, row())
    _, part = lesson(name, row(truncated=True))
    assert part + turn_end(chat) == whole


@pytest.mark.parametrize(("name", "end"), ENDS.items())
def test_what_ends_a_turn(name, end):
    assert of(name).decode(turn_end(of(name))[-1:]) == end


def test_without_a_token_that_ends_a_turn_nothing_can_be_trained():
    chat = deepcopy(of("glm4moe"))
    chat.eos_token = None
    with pytest.raises(InputError, match="no token that ends a turn"):
        turn_end(chat)


@every_template
def test_pairs_and_thumbs_have_the_same_context(name):
    chat = of(name)
    context, learned = lesson(name, row())
    pair = {**row(), "chosen": row()["completion"], "rejected": row(answer="aloft")["completion"]}
    ((columns, _),) = preference_tokens([{**pair, "probability": 1.0}], tokens(name))
    assert (columns["prompt_ids"], columns["chosen_ids"]) == (context, learned)
    assert columns["rejected_ids"][-1:] == turn_end(chat)[-1:]
    ((columns, _),) = unpaired_tokens([{**row(), "label": True}], tokens(name))
    assert (columns["prompt_ids"], columns["completion_ids"]) == (context, learned)


@every_template
def test_of_several_turns_each_is_learned_in_the_context_that_is_asked(name):
    found = [
        columns for columns, _ in sft_tokens([{**row(TALK), "given": 0}], tokens(name), turns="all")
    ]
    learned = [
        [id_ for id_, label in zip(one["input_ids"], one["labels"], strict=True) if label >= 0]
        for one in found
    ]
    assert len(found) in (1, 2)
    first, last = (lesson(name, row(ASKED, "aye")), lesson(name, row(TALK)))
    assert [id_ for ids in learned for id_ in ids] == first[1] + last[1]
    assert found[-1]["input_ids"] == [*last[0], *last[1]]
    given = {**row(TALK), "given": 4}
    ((only, _),) = sft_tokens([given], tokens(name), turns="all")
    assert only["input_ids"] == found[-1]["input_ids"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(TEMPLATES)), st.text(max_size=40).filter(str.strip))
def test_whatever_is_said_is_learned_whole_and_closes_no_turn(name, said):
    chat = of(name)
    _, learned = lesson(name, row(answer=said))
    starts, end = tokens(name)._template.answer_start, turn_end(chat)
    assert chat.decode(learned[: -len(end)]).replace("\u200b", "") == (starts + said).replace(
        "\u200b", ""
    )


def test_reasoning_is_learned_where_the_template_has_it():
    thought = "the hold is deep"
    for name in ("qwen3", "qwen3_5_think", "deepseek_r1_distill", "gptoss", "qwen2_5"):
        chat = of(name)
        context, learned = lesson(name, row(reasoning_content=thought))
        assert context == lesson(name, row())[0]
        said = chat.decode(learned[: -len(turn_end(chat))])
        opened = "" if said.startswith("<") else "<think>"
        assert split_reasoning(opened + said) == (ANSWER, thought)


def test_reasoning_that_a_template_cannot_show_is_counted():
    for name in ("command", "deepseek"):
        ((columns, _),) = sft_tokens([row(reasoning_content="hm")], tokens(name))
        assert columns == "has reasoning, which the chat template cannot show"


CALL = {"type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}}
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
SEEN = {"role": "tool", "content": "a barrel", "name": "look"}
USER = {"role": "user", "content": "where is the rum"}


@pytest.mark.slow  # imports trl
@every_template
def test_calls_of_tools_are_learned_where_the_template_has_them(name):
    chat = of(name)
    shown = tokens(name)
    calls = {"prompt": [USER], "completion": [CALLED], "truncated": False}
    after = {**calls, "prompt": [USER, CALLED, SEEN], "completion": row()["completion"]}
    called, answered = shown.exchanges([calls, after], "completion")
    if not shown._shows_tools:
        assert called == answered == "calls a tool, which the chat template cannot show"
        return
    assert "look" in chat.decode(called.answer) and "sea" in chat.decode(called.answer)
    assert called.answer[-1] in shown._control
    assert called.prompt == shown.prompts([calls])[0]
    assert "a barrel" in chat.decode(answered.prompt)
    assert chat.decode(answered.answer).endswith(ANSWER + chat.decode(turn_end(chat)))
