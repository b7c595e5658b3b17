"""Every chat template that TRL ships, and small ones in the style of each big family."""

from functools import cache

import pytest

from engine.generators.chat_template import ChatEncoder
from engine.generators.control_tokens import structural_tokens
from engine.messages import Message, TokenIds
from tests.engine.chat_families import OURS, TEMPLATES, TEXTS, shipped, tokenizer

THINKING = {"unsaid": {}, "on": True, "off": False}
NO_SYSTEM_TURN = {"gemma", "gemma2", "gemma_training", "drops_system"}
REWRITES_HISTORY = {"mistral", "harmony", "glm", "command", "qwen3_thinking"}
"""Ours whose next prompt does not go on from the last one and what was generated after it."""


@cache
def encoder(name, thinking="unsaid"):
    value = THINKING[thinking]
    arguments = (
        {"enable_thinking": value, "thinking": value, "reasoning": value} if value != {} else {}
    )
    return ChatEncoder(tokenizer(), "tiny", TEXTS[name], name, template_arguments=arguments)


def text_of(ids):
    return tokenizer().decode(ids)


def control(ids):
    """Those of `ids` that are control tokens, in order."""
    known = set(tokenizer().convert_tokens_to_ids(sorted(structural_tokens(tokenizer()))))
    return [id_ for id_ in ids if id_ in known]


SYSTEM = Message("system", "speak like a pirate")
USER = Message("user", "where is the rum")
FEW_SHOT = (
    SYSTEM,
    Message("user", "first question"),
    Message("assistant", "first answer"),
    Message("user", "second question"),
    Message("assistant", "second answer"),
    USER,
)
every_template = pytest.mark.parametrize("name", TEMPLATES)


def test_there_are_templates_of_every_family():
    assert len(list(OURS.glob("*.jinja"))) >= 17
    assert not shipped() or len(shipped()) > 50


@every_template
def test_a_system_turn_reaches_every_model(name):
    text = text_of(encoder(name).encode((SYSTEM, USER)))
    assert text.index(SYSTEM.content) < text.index(USER.content)
    assert text.count(SYSTEM.content) == text.count(USER.content) == 1
    folded = f"{SYSTEM.content}\n\n{USER.content}"
    if name in NO_SYSTEM_TURN:
        assert folded in text
    assert encoder(name)._template.takes_system == (name not in NO_SYSTEM_TURN)


@every_template
def test_a_late_system_turn_is_read_as_if_it_came_first(name):
    late = (USER, Message("assistant", "aye"), SYSTEM, Message("user", "why"))
    first = (SYSTEM, USER, Message("assistant", "aye"), Message("user", "why"))
    assert encoder(name).encode(late) == encoder(name).encode(first)


@every_template
@pytest.mark.parametrize("thinking", THINKING)
def test_every_turn_of_a_few_shot_prompt_stands_in_its_order(name, thinking):
    text = text_of(encoder(name, thinking).encode(FEW_SHOT))
    said = [message.content for message in FEW_SHOT if message.role != "system"]
    places = [text.index(content) for content in said]
    assert places == sorted(places)
    assert SYSTEM.content in text


@every_template
def test_control_tokens_in_a_turn_are_plain_text(name):
    spelled = "".join(sorted(structural_tokens(tokenizer(), TEXTS[name])))
    hostile = (Message("system", f"s {spelled}"), Message("user", f"u {spelled}"))
    hostile += (Message("assistant", f"a {spelled}"), Message("user", spelled))
    plain = tuple(Message(message.role, "word") for message in hostile)
    ids = encoder(name).encode(hostile)
    assert control(ids) == control(encoder(name).encode(plain))


@every_template
@pytest.mark.parametrize("thinking", THINKING)
def test_the_next_prompt_goes_on_from_this_one_or_is_the_templates_own(name, thinking):
    chat = encoder(name, thinking)
    before = (SYSTEM, USER)
    prompt = chat.encode(before)
    # Not as the tokenizer would cut it: letter by letter.
    generated = [id_ for letter in "down below" for id_ in tokenizer().encode(letter)]
    tokens = chat.generated_tokens([*generated, tokenizer().eos_token_id])
    assert tokens == TokenIds("tiny", tuple(generated))
    turn = Message("assistant", chat.decode(generated), tokens)
    after = (*before, turn, Message("user", "and the gold"))
    ids = chat.encode(after)
    goes_on = ids[: len(prompt) + len(generated)] == prompt + generated
    by_text = chat.encode((*before, Message("assistant", turn.content), after[-1]))
    assert goes_on or ids == by_text
    assert text_of(ids) == text_of(by_text)
    if TEMPLATES[name].parent == OURS and thinking == "unsaid":
        assert goes_on == (name not in REWRITES_HISTORY)


@every_template
@pytest.mark.parametrize("thinking", THINKING)
def test_a_begun_answer_is_no_thought(name, thinking):
    chat = encoder(name, thinking)
    prompt = chat.encode((SYSTEM, USER))
    begun = Message("assistant", "it is down")
    ids = chat.encode((SYSTEM, USER, begun))
    assert ids[: len(prompt)] == prompt
    assert ids[len(ids) - len(chat.encode_answer(begun)) :] == chat.encode_answer(begun)
    text = text_of(ids)
    assert text.rfind("<think>") <= text.rfind("</think>")
    if "<|channel|>" in TEXTS[name]:
        assert text.endswith("<|channel|>final<|message|>it is down")
    same = tuple(chat.encode_answer(begun))
    sampled = Message("assistant", begun.content, TokenIds("tiny", same))
    assert chat.encode((SYSTEM, USER, sampled)) == [*prompt, *same]


def test_thinking_is_told_to_templates_that_ask():
    ends = {
        thinking: text_of(encoder("deepseek", thinking).encode((USER,))) for thinking in THINKING
    }
    assert ends["on"].endswith("<think>")
    assert ends["off"].endswith("</think>")
    assert text_of(encoder("qwen3_hybrid", "off").encode((USER,))).endswith("</think>\n\n")
    assert text_of(encoder("gemma4", "on").encode((USER,))).startswith(
        "<s><|turn>system\n<|think|>"
    )
