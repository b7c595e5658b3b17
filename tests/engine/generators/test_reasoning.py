"""Reasoning is told apart from the answer, whatever a model's family writes around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generators.reasoning import split_reasoning, starts_to_reason

ANSWER = "No, mixing those makes a gas."
TAGS = [
    ("<think>", "</think>"),
    ("<Thinking>", "</Thinking>"),
    ("<thought>\n", "</thought>\n"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis<|message|>",
     "<|start|>assistant<|channel|>final <|constrain|>json<|message|>"),
    ("analysis", "assistantfinal"),
    ("Here is my thought process:", "Here is my response:"),
]  # fmt: skip


@pytest.mark.parametrize(("opens", "closes"), TAGS)
def test_reasoning_before_the_answer(opens, closes):
    text = f"\n{opens}We should refuse.{closes}\n\n{ANSWER}"
    assert split_reasoning(text) == (ANSWER, "We should refuse.")
    assert starts_to_reason(text)


@pytest.mark.parametrize(("opens", "closes"), TAGS)
def test_reasoning_that_never_ends_leaves_no_answer(opens, closes):
    assert split_reasoning(f"{opens}We should ref") == ("", "We should ref")


@pytest.mark.parametrize(
    "closes", ["</think>", "[/THINK]", "</seed:think>", "◁/think▷", "<|END_THINKING|>"]
)
def test_the_opening_tag_may_stand_in_the_prompt(closes):
    assert split_reasoning(f"We should refuse.{closes}{ANSWER}") == (ANSWER, "We should refuse.")


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "In HTML, <think> is no tag.",
        "Write <think>a</think> so.",
        "analysis of the data shows",
        "Analysis\n\nFirst, we look.",
        "Close it with </thinking> and go on.",
        "The <answer> tag is yours: <answer>4</answer>",
        "",
    ],
)
def test_what_is_no_reasoning_stays_as_it_is(text):
    assert split_reasoning(text) == (text, None)


def test_several_blocks_and_an_answer_in_tags():
    text = f"<think>One.</think>\n<think>Two.</think>\n<answer>{ANSWER}</answer>"
    assert split_reasoning(text) == (ANSWER, "One.\n\nTwo.")
    assert split_reasoning(f"<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>{ANSWER}") == (
        ANSWER,
        "a",
    )


def test_commentary_is_no_answer():
    text = (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>"
        f"I look it up.<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>"
    )
    assert split_reasoning(text) == (ANSWER, "Hm.\n\nI look it up.")


@given(st.text(), st.sampled_from(TAGS), st.text("ab <>/[]|think", max_size=30))
def test_nothing_that_was_thought_is_answered(thought, tags, answer):
    opens, closes = tags
    found, reasoning = split_reasoning(f"{opens}{thought}SECRET{closes}{answer}")
    assert "SECRET" not in found
    assert reasoning is not None
