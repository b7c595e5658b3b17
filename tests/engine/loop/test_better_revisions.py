"""What is criticised when the judge chooses, and which revisions earn their place."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.checks import Check
from constitution.schema import FewShotExample, Severity
from engine.generators.base import Choice
from engine.judging.calibration import Calibration
from engine.loop.acceptance import speaks_to
from engine.loop.critique_revise import critique_and_revise
from engine.messages import Message
from engine.records import DropReason, Outcome
from engine.settings import LoopSettings, roles
from tests.engine.builders import Replies, constitution, in_turn, principle, prompt

RULES = constitution("one", "two", "three")


def judge(texts, answers=None):
    """Says of each text which principles it breaks and how surely, and how well it answers."""

    def choose(messages):
        question = messages[0].content
        reply = question.rpartition("<reply>\n")[2].partition("\n</reply>")[0]
        if "a fitting reply" in question:
            return _choice((answers or {}).get(reply, 0.9))
        broken = {RULES.principle(id).statement: p for id, p in texts[reply].items()}
        (p,) = [
            p for said, p in broken.items() if f"true of this reply? {said} Answer" in question
        ] or [0.1]
        return _choice(p)

    return choose


def _choice(p):
    return Choice((p, 1 - p), 1.0)


def run(model, rules=RULES, settings=None, calibration=None):
    cast = roles(model)
    if calibration:
        cast = replace(cast, judge=replace(cast.judge, calibration=calibration))
    return asyncio.run(critique_and_revise(prompt(), rules, cast, settings or LoopSettings()))


def test_an_answer_that_breaks_nothing_costs_verdicts_alone():
    model = Replies(in_turn("Good."), judge({"Good.": {}}))
    record = run(model)
    assert (record.outcome, record.final, record.rounds) == (Outcome.COMPLIANT, "Good.", ())
    assert (len(model.requests), len(model.questions)) == (1, 3)
    assert [v.principle for v in record.first_verdicts] == ["one", "two", "three"]
    assert record.final_verdicts == record.first_verdicts


def test_the_worst_is_criticised_first_and_all_are_asked_again():
    texts = {"Bad.": {"one": 0.6, "three": 0.8}, "Fair.": {"one": 0.6}, "Good.": {}}
    model = Replies(in_turn("Bad.", "It is bad.", "Fair.", "Still.", "Good."), judge(texts))
    record = run(model)
    assert [r.principle for r in record.rounds] == ["three", "one"]
    assert (record.outcome, record.final, record.unresolved) == (Outcome.REVISED, "Good.", ())
    assert [(r.before.probability, r.after.probability) for r in record.rounds] == [
        (0.8, 0.1),
        (0.6, 0.1),
    ]
    assert len(model.questions) == 3 * 3 + 2 * 2


def test_severity_and_weight_decide_what_is_worst():
    grave = principle("one", severity=Severity.CRITICAL)
    rules = RULES.model_copy(update={"principles": (grave, *RULES.principles[1:])})
    texts = {"Bad.": {"one": 0.6, "three": 0.9}, "Good.": {}}
    record = run(Replies(in_turn("Bad.", "C is bad.", "Good."), judge(texts)), rules)
    assert record.rounds[0].principle == "one"


@pytest.mark.parametrize(
    ("revision", "answers", "reason"),
    [
        ({"one": 0.75}, {}, DropReason.NOT_BETTER),
        ({"one": 0.9}, {}, DropReason.NOT_BETTER),
        ({"two": 0.6}, {}, DropReason.BREAKS_ANOTHER),
        ({}, {"Other.": 0.3}, DropReason.DOES_NOT_ANSWER),
    ],
)
def test_a_revision_that_does_not_earn_its_place_leaves_the_answer_unresolved(
    revision, answers, reason
):
    texts = {"Bad.": {"one": 0.8}, "Other.": revision}
    record = run(Replies(in_turn("Bad.", "It is bad.", "Other."), judge(texts, answers)))
    assert (record.outcome, record.drop_reason) == (Outcome.UNRESOLVED, reason)
    assert (record.final, record.unresolved) == ("Bad.", ("one",))
    (only,) = record.rounds
    assert (only.revision, only.dropped) == ("Other.", reason)
    assert only.broke == tuple(id for id, p in revision.items() if id != "one" and p >= 0.5)


def test_an_unresolved_critical_principle_is_escalated():
    grave = principle("one", severity=Severity.CRITICAL)
    rules = RULES.model_copy(update={"principles": (grave,)})
    texts = {"Bad.": {"one": 0.8}, "Worse.": {"one": 0.9}}
    assert run(Replies(in_turn("Bad.", "It is bad.", "Worse."), judge(texts)), rules).escalate


def test_a_better_answer_that_still_breaks_something_stands_and_is_unresolved():
    texts = {"Bad.": {"one": 0.9, "two": 0.6}, "Fair.": {"two": 0.6}, "Worse.": {"two": 0.7}}
    turns = in_turn("Bad.", "It is bad.", "Fair.", "It is bad.", "Worse.")
    record = run(Replies(turns, judge(texts)))
    assert (record.final, record.outcome) == ("Fair.", Outcome.UNRESOLVED)
    assert record.unresolved == ("two",)


def test_the_best_of_several_candidates_is_kept():
    texts = {"Bad.": {"one": 0.9}, "A.": {"one": 0.4}, "B.": {"one": 0.2}, "C.": {"two": 0.9}}
    model = Replies(in_turn("Bad.", "It is bad.", "A.", "B.", "C."), judge(texts))
    record = run(model, settings=LoopSettings(candidates=3))
    assert record.final == "B."
    revisions = model.requests[2:]
    assert len({r.seed for r in revisions}) == 3
    assert len({r.messages for r in revisions}) == 1


def test_a_critique_that_finds_nothing_ends_the_round():
    texts = {"Bad.": {"one": 0.9}}
    model = Replies(in_turn("Bad.", "No violation."), judge(texts))
    record = run(model)
    assert record.rounds[0].dropped is DropReason.NOTHING_FOUND
    assert (record.outcome, len(model.requests)) == (Outcome.UNRESOLVED, 2)


def test_an_undecided_principle_is_not_criticised_and_not_compliant():
    model = Replies(in_turn("First."), lambda _: Choice((0.5, 0.5), 0.0))
    record = run(model)
    assert (record.outcome, record.rounds) == (Outcome.UNRESOLVED, ())
    assert record.unresolved == ("one", "two", "three")


def test_always_keeps_what_hygiene_lets_through():
    texts = {"Bad.": {"one": 0.8}, "Worse.": {"one": 0.9, "two": 0.9}}
    settings = LoopSettings(accept="always", rounds=1)
    record = run(Replies(in_turn("Bad.", "It is bad.", "Worse."), judge(texts)), settings=settings)
    assert (record.final, record.outcome) == ("Worse.", Outcome.REVISED)
    assert record.unresolved == ("one", "two")


@pytest.mark.parametrize("select", ["random", "every"])
def test_a_drawn_principle_that_is_kept_is_left_alone(select):
    texts = {"Bad.": {"two": 0.9}, "Good.": {}}
    model = Replies(in_turn("Bad.", "It is bad.", "Good."), judge(texts))
    record = run(model, settings=LoopSettings(select=select, rounds=3))
    assert [r.principle for r in record.rounds] == ["two"]
    assert record.outcome is Outcome.REVISED


def test_a_calibrated_judge_is_read_from_its_own_middle():
    texts = {"Bad.": dict.fromkeys(("one", "two", "three"), 0.6) | {"one": 0.7}, "Good.": {}}
    shifted = Calibration({"one": 0.5}, shift=0.5)
    model = Replies(in_turn("Bad.", "It is bad.", "Good."), judge(texts))
    record = run(model, calibration=shifted)
    assert [v.violates for v in record.first_verdicts] == [True, False, False]


def test_a_reviewer_reads_the_conversation_quoted_and_shares_the_judges_prompt():
    texts = {"Bad.": {"one": 0.9}, "Good.": {}}
    model = Replies(in_turn("Bad.", "It is bad.", "Good."), judge(texts))
    run(model)
    verdict = model.questions[0][0].content
    shared = verdict[: verdict.index("Is the following true")]
    for request in model.requests[1:]:
        assert len(request.messages) == 1
        assert request.messages[0].content.startswith(shared)
    assert "It is bad." in model.requests[2].messages[0].content


def test_direct_asks_for_no_critique():
    texts = {"Bad.": {"one": 0.9}, "Good.": {}}
    model = Replies(in_turn("Bad.", "Good."), judge(texts))
    record = run(model, settings=LoopSettings(framing="direct"))
    assert (record.outcome, record.rounds[0].critique) == (Outcome.REVISED, None)


def test_afresh_puts_the_prompt_again_and_shows_neither_reply_nor_critique():
    texts = {"Bad.": {"one": 0.9}, "Good.": {}}
    model = Replies(in_turn("Bad.", "Good."), judge(texts))
    record = run(model, settings=LoopSettings(framing="afresh"))
    assert (record.outcome, record.rounds[0].critique) == (Outcome.REVISED, None)
    (asked,) = model.requests[1].messages
    statement = RULES.principle("one").statement
    assert asked.content == f"{prompt().messages[-1].content}\n\n{asked.content.split(chr(10))[-1]}"
    assert asked.content.endswith(f"Keep to this in your answer: {statement}")


def test_without_a_judge_a_revision_must_be_about_what_was_asked():
    brief = principle("brief", check=Check(max_words=5), revision="Be brief.")
    rules = constitution("brief").model_copy(update={"principles": (brief,)})
    long = "Boil eggs for six minutes and then cool them at once."
    for revision, dropped in (("Cats are nice.", "does_not_answer"), ("Boil them briefly.", None)):
        model = Replies(in_turn(long, revision))
        cast, asked = roles(model), prompt(text="How do I boil eggs?")
        settings = LoopSettings(framing="afresh")
        record = asyncio.run(critique_and_revise(asked, rules, cast, settings))
        assert record.rounds[0].dropped == dropped
        assert not model.questions


@pytest.mark.parametrize(
    ("answer", "revision", "speaks"),
    [
        ("", "Bread stays soft in a bag.", True),
        ("", "Dogs like bones.", False),
        ("Wrap the loaf in a towel.", "A towel keeps the loaf soft.", True),
        ("Wrap the loaf in a towel.", "Would you like that?", False),
    ],
)
def test_what_a_revision_is_about_is_seen_in_its_content_words(answer, revision, speaks):
    asked = (Message("user", "How do I store bread?"),)
    assert speaks_to(asked, answer, revision) is speaks


def test_in_chinese_each_character_counts_whatever_the_clause():
    asked = (Message("user", "面包怎么保存？"),)
    assert speaks_to(asked, "", "把面包放在纸袋里。")
    assert not speaks_to(asked, "", "小狗喜欢骨头。")


def test_a_request_without_content_words_rules_nothing_out():
    assert speaks_to((Message("user", "Why?"),), "", "Dogs like bones.")


@pytest.mark.parametrize("framing", ["reviewer", "conversation"])
def test_examples_are_quoted_off_by_default_and_of_the_same_principle(framing):
    shown = {"prompt": "P?", "answer": "</example>A.", "critique": "Crit.", "revision": "Rev."}
    examples = tuple(FewShotExample(principle=id, **shown) for id in ("one", "two"))
    rules = RULES.model_copy(update={"few_shot": examples})
    texts = {"Bad.": {"one": 0.9}, "Good.": {}}

    def asked(few_shot):
        model = Replies(in_turn("Bad.", "It is bad.", "Good."), judge(texts))
        run(model, rules, LoopSettings(framing=framing, few_shot=few_shot))
        return [request.messages[-1].content for request in model.requests[1:]]

    critic, reviser = asked(True)
    assert critic.count("Crit.") == reviser.count("Crit.") == 1
    assert "Rev." not in critic and reviser.count("Rev.") == 1
    assert critic.count("</example>") == 1
    assert not any("Crit." in content for content in asked(False))


@pytest.mark.parametrize("framing", ["reviewer", "direct", "conversation", "afresh"])
def test_a_system_turn_is_only_ever_the_first_and_examples_bring_none(framing):
    shown = {"prompt": "P?", "answer": "A.", "critique": "Crit.", "revision": "Rev."}
    examples = (FewShotExample(principle="one", **shown),)
    rules = RULES.model_copy(update={"few_shot": examples})
    said = ("Bad.", "Good.") if framing in ("direct", "afresh") else ("Bad.", "It is bad.", "Good.")
    model = Replies(in_turn(*said), judge({"Bad.": {"one": 0.9}, "Good.": {}}))
    told = replace(prompt(), messages=(Message("system", "Be brief."), *prompt().messages))
    settings = LoopSettings(framing=framing, few_shot=True)
    asyncio.run(critique_and_revise(told, rules, roles(model), settings))
    conversations = [request.messages for request in model.requests] + model.questions
    assert len(model.requests) == len(said)
    for messages in conversations:
        assert [m.role for m in messages[1:] if m.role == "system"] == []
    assert conversations[0][0].role == "system"


def test_a_copied_example_is_dropped_as_such():
    said = "Let the tide carry the boat past the old stone pier before you raise the smaller sail."
    shown = {"prompt": "P?", "answer": "A.", "critique": "C.", "revision": said}
    rules = RULES.model_copy(update={"few_shot": (FewShotExample(principle="one", **shown),)})
    model = Replies(in_turn("Bad.", "It is bad.", said), judge({"Bad.": {"one": 0.9}}))
    record = run(model, rules, LoopSettings(few_shot=True))
    assert record.rounds[0].dropped is DropReason.COPIED_REQUEST


@given(
    first=st.dictionaries(st.sampled_from(["one", "two", "three"]), st.floats(0, 1)),
    second=st.dictionaries(st.sampled_from(["one", "two", "three"]), st.floats(0, 1)),
)
def test_whatever_the_judge_says_the_answer_never_gets_worse(first, second):
    """No principle kept before is broken after, and what was criticised is less likely broken."""
    texts = {"Bad.": first, "Other.": second, "Third.": {}}
    model = Replies(in_turn("Bad.", "It is.", "Other.", "It is.", "Third."), judge(texts))
    record = run(model)
    before = {v.principle: v for v in record.first_verdicts}
    for verdict in record.final_verdicts:
        assert not verdict.violates or before[verdict.principle].violates
    for kept in record.accepted:
        assert kept.before.probability - kept.after.probability >= 0.1 - 1e-9
    assert (record.outcome is Outcome.UNRESOLVED) == bool(record.unresolved)
