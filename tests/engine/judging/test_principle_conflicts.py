"""Pairs of principles put to a judge: planted contradictions, letters it likes, no answer."""

import asyncio

import pytest

from constitution.lint import pairs_that_meet
from constitution.schema import AppliesTo, Stakeholder
from engine.generators.base import Choice, FailureReason, GenerationError, GeneratorUnavailable
from engine.generators.scripted import Script, ScriptedGenerator, ScriptRule
from engine.judging.principle_conflicts import judge_pairs
from tests.engine.builders import Replies, constitution, principle

CLASH, AGREE = r"A: They pull.*B: They go", r"A: They go.*B: They pull"


def rule(match, *probabilities, **fields):
    return ScriptRule(match=f"(?s){match}", probabilities=probabilities, **fields)


PLANTED = Script(
    rules=(
        rule(f"keeps brief.*keeps long.*{CLASH}", 0.9, 0.1),
        rule(f"keeps long.*keeps brief.*{AGREE}", 0.3, 0.7),
        rule(CLASH, 0.1, 0.9),
        rule(AGREE, 0.9, 0.1),
    )
)


def asked(rules, judge):
    async def work():
        pairs = pairs_that_meet(rules, [p.id for p in rules.principles])
        return [a async for a in judge_pairs(rules, pairs, judge)]

    answers = asyncio.run(work())
    return {frozenset(p.id for p in answer.pair): answer for answer in answers}


def test_a_planted_contradiction_is_the_only_one_found():
    answers = asked(constitution("brief", "kind", "long", "calm"), ScriptedGenerator(PLANTED))
    assert len(answers) == 6
    found = [answer.conflict for answer in answers.values() if answer.conflict]
    assert [{c.one, c.other} for c in found] == [{"brief", "long"}]
    assert found[0].probability == pytest.approx(0.8)


@pytest.mark.parametrize("weights", [(0.9, 0.1), (0.1, 0.9), (0.5, 0.5)])
def test_a_judge_that_likes_a_letter_finds_nothing(weights):
    answers = asked(
        constitution("a", "b", "c"), ScriptedGenerator(Script(rules=(rule("", *weights),)))
    )
    assert [answer.conflict for answer in answers.values()] == [None] * 3


def test_each_pair_is_asked_about_in_both_orders():
    judge = Replies(lambda request: "")
    asked(constitution("one", "two", preamble="In a library."), judge)
    first, second = (messages[-1].content for messages in judge.questions)
    assert first.index("keeps one") < first.index("keeps two")
    assert second.index("keeps two") < second.index("keeps one")
    assert first.index("They pull") < first.index("They go")
    assert second.index("They go") < second.index("They pull")
    assert all(text.startswith("In a library.") for text in (first, second))


@pytest.mark.parametrize(
    "silent",
    [
        Choice((0.9, 0.1), 0.01),
        Choice((float("nan"), float("nan")), 1.0),
        GenerationError(FailureReason.CONTEXT_OVERFLOW, "too long"),
        GenerationError(FailureReason.SERVER_ERROR, "down"),
    ],
)
def test_no_answer_is_no_verdict(silent):
    (answer,) = asked(constitution("a", "b"), Replies(lambda r: "", lambda m: silent)).values()
    assert answer.probabilities is None and answer.conflict is None


def test_an_answer_in_one_order_only_is_no_verdict():
    answers = iter([Choice((1.0, 0.0), 1.0), Choice((0.0, 1.0), 0.0)])
    (answer,) = asked(
        constitution("a", "b"), Replies(lambda r: "", lambda m: next(answers))
    ).values()
    assert answer.probabilities is None and answer.conflict is None


def test_a_judge_that_is_gone_ends_it():
    def gone(messages):
        raise GeneratorUnavailable("no server answers")

    with pytest.raises(GeneratorUnavailable):
        asked(constitution("a", "b"), Replies(lambda r: "", gone))


def test_only_pairs_that_one_conversation_can_draw_are_asked_about():
    rules = constitution(
        stakeholders={"staff": Stakeholder(), "guests": Stakeholder(weights={"plain": 0.0})}
    ).model_copy(
        update={
            "principles": (
                principle("plain"),
                principle("never", weight=0.0),
                principle("staff", applies_to=AppliesTo(stakeholders=("staff",))),
                principle("guests", applies_to=AppliesTo(stakeholders=("guests",), tags=("law",))),
            )
        }
    )
    own = {p.id for p in rules.principles}
    met = {frozenset((a.id, b.id)) for a, b in pairs_that_meet(rules, own)}
    assert met == {frozenset(("plain", "staff"))}
    assert pairs_that_meet(rules, {"guests"}) == []


def test_pairs_with_words_in_common_come_first():
    rules = constitution("x", "y", "z")
    other = rules.principles[1].model_copy(update={"statement": "Nothing alike, at all."})
    rules = rules.model_copy(
        update={"principles": (rules.principles[0], other, rules.principles[2])}
    )
    first, *_ = pairs_that_meet(rules, {"x", "y", "z"})
    assert [p.id for p in first] == ["x", "z"]
