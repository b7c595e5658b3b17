"""Verdicts: a probability, or no verdict with a reason; never a guess."""

import asyncio
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.generators.base import Choice
from engine.judging.judge import ask_about_answer, judge_answer
from engine.messages import Message
from tests.engine.builders import Replies, constitution

RULES = constitution("kindness")
CONVERSATION = (Message("user", "Hello?"), Message("assistant", "Go away."))


def judge(choice, **options):
    model = Replies(lambda request: "", lambda messages: choice)
    verdict, _ = asyncio.run(
        judge_answer(model, RULES, RULES.principles[0], CONVERSATION, **options)
    )
    return verdict


@given(st.floats(0, 1), st.floats(0, 1))
@example(0.5, 1.0)
@example(0.5, 0.05)
def test_a_judge_that_did_not_answer_gives_no_verdict(probability, mass):
    verdict = judge(Choice((probability, 1 - probability), mass))
    if mass < 0.05:
        assert (verdict.violates, verdict.probability) == (None, None)
        assert verdict.reason
    else:
        assert verdict.violates is (probability >= 0.5)
        assert verdict.reason is None


@pytest.mark.parametrize(("mass", "told"), [(0.04, None), (0.06, 0.7)])
def test_a_question_about_an_answer_has_none_where_the_judge_gave_none(mass, told):
    model = Replies(lambda request: "", lambda messages: Choice((0.7, 0.3), mass))
    found, _ = asyncio.run(ask_about_answer(model, "Is it kind?", CONVERSATION))
    assert found == told


@pytest.mark.parametrize("choice", [((math.nan, 1), 1.0), ((0.5, 0.5), math.nan)])
def test_probabilities_that_are_no_numbers_are_no_verdict(choice):
    verdict = judge(Choice(*choice))
    assert (verdict.violates, verdict.probability) == (None, None)
    assert "not finite" in verdict.reason
    assert verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_the_threshold_can_be_raised():
    assert judge(Choice((0.7, 0.3), 1.0)).violates
    assert judge(Choice((0.7, 0.3), 1.0), threshold=0.9).violates is False


def test_a_verdict_says_which_wording_of_the_principle_it_judged():
    verdict = judge(Choice((0.7, 0.3), 1.0))
    assert verdict.principle == "kindness"
    assert verdict.principle_hash == RULES.principles[0].content_hash
    edited = RULES.principles[0].model_copy(update={"statement": "Another."})
    assert edited.model_validate(edited.model_dump()).content_hash != verdict.principle_hash


def test_the_judge_sees_prompt_and_reply():
    model = Replies(lambda request: "")
    asyncio.run(judge_answer(model, RULES, RULES.principles[0], CONVERSATION))
    (question,) = model.questions
    assert "Hello?" in question[0].content
    assert "Go away." in question[0].content


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_judges_are_taken_at_their_word(probability):
    assert judge(Choice((probability, 1 - probability), 1.0)).probability == probability
