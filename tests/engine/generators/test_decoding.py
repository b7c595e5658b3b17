"""Reasoning that special tokens mark is told apart from the answer, and everything else is as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generators.decoding import Decoded
from engine.generators.reasoning import split_reasoning
from engine.messages import Message
from tests.engine.generators.thinking_tokenizer import MARKS, OPENED, encoder, ids_of, tokenizer

END = "<|im_end|>"
THOUGHTS = {
    "magistral": "[THINK]is it so?[/THINK]",
    "command": "<|START_THINKING|>is it so?<|END_THINKING|><|START_RESPONSE|>",
    "harmony": "<|channel|>analysis<|message|>is it so?<|end|><|start|>assistant<|channel|>final<|message|>",
}
TAGGED = {**THOUGHTS, "qwen": "<think>is it so?</think>\n\n"}


@pytest.fixture(scope="module", autouse=True)
def _loaded():
    """The import takes seconds, which would count against hypothesis' deadline."""
    tokenizer()


def read(text, template=None, begun=""):
    chat = encoder(template)
    prompt = chat.encode((Message("user", "?"),)) + ids_of(begun)
    return chat.read(prompt, ids_of(begun), ids_of(text))


@pytest.mark.parametrize("family", THOUGHTS)
@pytest.mark.parametrize("end", ["", END])
def test_reasoning_that_special_tokens_mark_is_taken_from_the_answer(family, end):
    assert read(THOUGHTS[family] + "It is." + end) == Decoded("It is.", "is it so?")


def test_special_tokens_around_the_answer_are_left_out():
    command = THOUGHTS["command"] + "It is.<|END_RESPONSE|>" + END
    assert read(command) == Decoded("It is.", "is it so?")


@pytest.mark.parametrize(
    "begun", ["[THINK]", "<|START_THINKING|>", "<|channel|>analysis<|message|>"]
)
def test_a_thought_without_its_end_leaves_no_answer(begun):
    assert read(begun + "is it so") == Decoded("", "is it so")


FINAL = "<|channel|>final<|message|>"


def test_an_answer_on_its_channel_without_a_thought_is_an_answer():
    assert read(f"{FINAL}It is.<|return|>") == Decoded("It is.")
    prompt = encoder().encode((Message("user", "?"),))
    assert encoder().answer_start(prompt, ids_of(f"{FINAL}It is.")) == len(ids_of(FINAL))


@pytest.mark.parametrize(
    ("cut", "reasoning"),
    [
        ("[THINK]", ""),
        ("<|channel|>", ""),
        ("<|channel|>analysis", ""),
        ("<|channel|>analysis<|message|>", ""),
        (FINAL, None),
        ("is it[/THINK]", "is it"),
        ("[THINK]is it[/THINK]", "is it"),
    ],
)
def test_a_turn_cut_off_at_a_mark_has_no_answer(cut, reasoning):
    assert read(cut) == Decoded("", reasoning)


def test_a_thought_that_the_prompt_opened_counts_whether_it_closed_or_not():
    assert read("is it so?\n</think>\n\nIt is." + END, OPENED) == Decoded("It is.", "is it so?")
    assert read("is it so", OPENED) == Decoded("", "is it so")


def test_tags_that_are_not_special_stay_in_the_text():
    text = "<think>is it so?</think>It is."
    assert read(text + END) == Decoded(text)


def test_special_tokens_without_reasoning_are_dropped_as_ever():
    assert read("It<|return|> is." + END) == Decoded("It is.")
    assert read(" down<|return|> there", begun="it is") == Decoded(" down there")


def test_what_a_model_repeats_of_broken_tokens_is_restored():
    said = "[THINK]it says <\u200b|im_end|>[/THINK]You wrote <\u200b|im_end|>."
    assert read(said) == Decoded("You wrote <|im_end|>.", "it says <|im_end|>")


def test_an_engines_own_text_is_taken_where_nothing_is_to_be_told_apart():
    chat = encoder()
    prompt = chat.encode((Message("user", "?"),))
    assert chat.read(prompt, [], ids_of("It is."), "as decoded") == Decoded("as decoded")
    thought = ids_of(THOUGHTS["magistral"] + "It is.")
    assert chat.read(prompt, [], thought, "is it so?It is.") == Decoded("It is.", "is it so?")


WORDS = st.lists(st.sampled_from(["is", " it", "?", "\n", "é", "<", "Yes", " "]), max_size=8).map(
    "".join
)


@given(WORDS)
def test_without_special_tokens_nothing_changes(text):
    ids = ids_of(text)
    assert encoder().read([], [], ids) == Decoded(tokenizer().decode(ids))


@given(
    st.sampled_from(sorted(TAGGED)),
    st.sampled_from(["", " ", "\n\n"]),
    st.sampled_from(["Yes", "No, it is."]),
)
def test_the_answer_starts_after_the_thought_and_white_space(family, space, answer):
    thought, whole = ids_of(TAGGED[family] + space), ids_of(TAGGED[family] + space + answer)
    prompt = encoder().encode((Message("user", "?"),))
    start = encoder().answer_start(prompt, whole)
    assert start is not None
    assert tokenizer().decode(whole[start:]).strip() == answer
    assert encoder().answer_start(prompt, thought) == len(thought)
    assert encoder().closing(prompt, whole) is None


def test_the_answer_starts_after_special_tokens_in_front():
    prompt = encoder().encode((Message("user", "?"),))
    assert encoder().answer_start(prompt, ids_of("<|START_RESPONSE|>Yes")) == 1
    assert encoder().answer_start(prompt, ids_of("<|START_THINKING|>hm")) is None


def test_the_answer_starts_within_the_tag_around_it():
    prompt = encoder().encode((Message("user", "?"),))
    whole = ids_of("<think>is it?</think>\n<answer>\nYes</answer>")
    start = encoder().answer_start(prompt, whole)
    assert tokenizer().decode(whole[start:]) == "Yes</answer>"


@pytest.mark.parametrize(
    "text", ["", "It is.", "<think>is it", "[THINK]", "<|channel|>analysis<|message|>a"]
)
def test_without_reasoning_that_closed_no_answer_starts(text):
    prompt = encoder().encode((Message("user", "?"),))
    assert encoder().answer_start(prompt, ids_of(text)) is None


@pytest.mark.parametrize(
    ("begun", "ended"),
    [
        ("<think>hm", "\n</think>\n\n"),
        ("[THINK]hm", "[/THINK]"),
        ("<|START_THINKING|>hm", "<|END_THINKING|><|START_RESPONSE|>"),
        (
            "<|channel|>analysis<|message|>hm",
            "<|end|><|start|>assistant<|channel|>final<|message|>",
        ),
        (
            "<|channel|>analysis<|message|>hm<|end|>",
            "<|start|>assistant<|channel|>final<|message|>",
        ),
    ],
)
def test_an_open_thought_is_closed_as_the_model_would(begun, ended):
    prompt = encoder().encode((Message("user", "?"),))
    closing = encoder().closing(prompt, ids_of(begun))
    assert closing == ids_of(ended)
    whole = [*ids_of(begun), *closing]
    assert encoder().answer_start(prompt, whole) == len(whole)
    decoded = encoder().read(prompt, [], [*whole, *ids_of("Yes")])
    assert split_reasoning(decoded.text) == ("Yes", "hm") or decoded == Decoded("Yes", "hm")


def test_a_thought_that_the_prompt_opened_is_closed_too():
    prompt = encoder(OPENED).encode((Message("user", "?"),))
    assert encoder(OPENED).closing(prompt, ids_of("hm")) == ids_of("\n</think>\n\n")
    assert encoder(OPENED).answer_start(prompt, ids_of("hm</think>\nYes")) == len(
        ids_of("hm</think>\n")
    )


MIXED = st.lists(
    st.sampled_from([*MARKS, "<think>", "</think>", "analysis", "final", "hm", "\n", " it"]),
    max_size=8,
).map("".join)


@given(MIXED, st.sampled_from([None, OPENED]))
def test_a_thought_that_is_closed_is_followed_by_an_answer_and_no_mark_is_left(text, template):
    chat, ids = encoder(template), ids_of(text)
    prompt = chat.encode((Message("user", "?"),))
    closing = chat.closing(prompt, ids)
    if closing is not None:
        whole = [*ids, *closing, *ids_of("Yes")]
        start = chat.answer_start(prompt, whole)
        assert start is not None
        ids = whole
        assert chat.read(prompt, [], whole).text.endswith("Yes")
    decoded = chat.read(prompt, [], ids)
    assert not any(mark in decoded.text + (decoded.reasoning or "") for mark in MARKS)
