"""A check decides a verdict without a request; a judge is asked where it holds and is not enough."""

import asyncio

import pytest

from constitution.schema import Check, Constitution
from engine.generators.base import Choice, Sampling
from engine.judging.judge import judge_answer
from engine.judging.preference import Judge
from engine.messages import Message
from engine.settings import RoleModel
from tests.engine.builders import Replies, principle

PROMPT = (Message("user", "Hello?"),)
SHORT, LONG = "Good morning.", "Good morning to you and to all of yours."
BRIEF = Check(max_words=3)


def verdict(reply, probability=0.9, **fields):
    rule = principle("brevity", **fields)
    model = Replies(lambda request: "", lambda messages: Choice((probability, 1 - probability), 1))
    rules = Constitution(name="test", principles=(rule,))
    conversation = (*PROMPT, Message("assistant", reply))
    found, choice = asyncio.run(judge_answer(model, rules, rule, conversation))
    assert len(model.questions) == (choice is not None)
    return found, choice


@pytest.mark.parametrize("judged", [None, False, True])
def test_an_answer_that_fails_the_check_breaks_the_principle_and_nobody_is_asked(judged):
    found, choice = verdict(LONG, check=BRIEF, judged=judged)
    assert (found.violates, found.probability, choice) == (True, 1.0, None)
    assert found.failed == ("It has 9 words; at most 3 are allowed.",)
    assert found.exact


@pytest.mark.parametrize("judged", [None, False])
def test_an_answer_that_passes_keeps_it_and_nobody_is_asked(judged):
    found, choice = verdict(SHORT, check=BRIEF, judged=judged)
    assert (found.violates, found.probability, found.failed, choice) == (False, 0.0, (), None)
    assert found.exact


@pytest.mark.parametrize("probability", [0.2, 0.9])
def test_a_judge_is_asked_as_well_where_the_check_holds_and_it_is_judged(probability):
    found, choice = verdict(SHORT, probability, check=BRIEF, judged=True)
    assert (found.violates, found.probability) == (probability > 0.5, probability)
    assert choice is not None and not found.exact


def test_a_check_in_python_that_may_not_run_is_no_verdict():
    found, _ = verdict(SHORT, check=Check(python="os:getcwd"))
    assert (found.violates, found.probability) == (None, None)
    assert "may not run" in found.reason


@pytest.mark.parametrize("method", ["pointwise", "pairwise"])
@pytest.mark.parametrize(
    ("replies", "probability"),
    [((SHORT, LONG), 1), ((LONG, SHORT), 0), ((SHORT, SHORT + "."), 0.5), ((LONG, LONG), 0.5)],
)
def test_an_unjudged_check_decides_preferences_without_a_request(method, replies, probability):
    rule = principle("brevity", check=BRIEF)
    model = Replies(lambda request: "")
    judge = Judge(RoleModel(model, Sampling()), Constitution(name="test", principles=(rule,)))
    found = asyncio.run(judge.prefer(rule, PROMPT, replies, method=method))
    assert found.probability == pytest.approx(probability, abs=1e-9)
    assert found.method == method
    assert not model.questions


@pytest.mark.parametrize(("second", "asked"), [(LONG, 0), (SHORT, 2)])
def test_a_pairwise_judge_is_asked_only_between_replies_that_pass(second, asked):
    rule = principle("brevity", check=BRIEF, judged=True)
    model = Replies(lambda request: "")
    judge = Judge(RoleModel(model, Sampling()), Constitution(name="test", principles=(rule,)))
    asyncio.run(judge.prefer(rule, PROMPT, (SHORT, second), method="pairwise"))
    assert len(model.questions) == asked
