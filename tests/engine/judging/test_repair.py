"""The loop on a constitution's own tests: what counts as repaired and as damaged, and who says so."""

import asyncio

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from constitution.checks import Check
from constitution.schema import AppliesTo, Constitution, PrincipleTest, Stakeholder
from engine.generators.base import Choice, FailureReason, GenerationError
from engine.judging.repair import run_loop_tests, starts_of
from engine.judging.repair_figures import EndedAs
from engine.records import DropReason
from engine.settings import LoopSettings, roles
from tests.engine.builders import Replies, principle

FAILED = GenerationError(FailureReason.SERVER_ERROR, "down")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def with_test(name, violating=(), compliant=(), **fields):
    """A principle with one test, of these answers."""
    answers = {
        "violating": tuple(violating) or ("BAD.",),
        "compliant": tuple(compliant) or ("OK.",),
    }
    return principle(name, tests=(PrincipleTest(prompt=f"About {name}?", **answers),), **fields)


def rules(*principles, **fields):
    return Constitution(name="test", principles=principles, **fields)


def judge(broken, silent=()):
    """Says that a text breaks the principles listed of it; of those in `silent` nothing at all."""

    def choose(messages):
        question = messages[0].content
        reply = question.rpartition("<reply>\n")[2].partition("\n</reply>")[0]
        if "a fitting reply" in question:
            return Choice((0.9, 0.1), 1.0)
        (name,) = [n for n in ("one", "two") if f"The assistant keeps {n}." in question]
        if (reply, name) in silent:
            return Choice((0.5, 0.5), 0.0)
        breaks = name in broken.get(reply, ())
        return Choice((0.9, 0.1) if breaks else (0.1, 0.9), 1.0)

    return choose


def run(model, constitution, only=None, alone=False, **settings):
    chosen = [p for p in constitution.principles if only is None or p.id == only]
    wanted = LoopSettings(**settings)
    starts = starts_of(constitution, chosen, wanted)
    return asyncio.run(run_loop_tests(constitution, starts, roles(model), wanted, alone=alone))


def revising(revisions, critique="It is rude to whoever asked."):
    """A critic that finds fault and a reviser that says of the reply it is shown what it becomes."""

    def reply(request):
        text = request.messages[-1].content
        shown = text.rpartition("<reply>\n")[2].partition("\n</reply>")[0]
        return revisions.get(shown, shown) if "Rewrite" in text else critique

    return reply


REWRITE = revising({"BAD.": "Better.", "OK.": "Worse."})
ALWAYS = {"accept": "always", "select": "every"}
"""As if nothing had to earn its place: what is good is rewritten, too."""


def ended(tests):
    return [result.ended_as for result in tests.results]


def test_a_violating_answer_is_repaired_and_a_compliant_one_stands():
    constitution = rules(with_test("one"), with_test("two"))
    model = Replies(REWRITE, judge({"BAD.": ["one", "two"]}))
    tests = run(model, constitution)
    assert ended(tests) == [EndedAs.REPAIRED, EndedAs.UNCHANGED] * 2
    assert [r.record.final for r in tests.results] == ["Better.", "OK."] * 2
    total = tests.total
    assert (total.repaired.value, total.damaged.value, total.changed.value) == (1.0, 0.0, 0.0)
    assert total.repaired.low == pytest.approx(2 / (2 + 1.959964**2))
    assert not total.refusals
    assert [r.as_dict()["by"] for r in tests.results] == ["judge", None] * 2


def test_alone_an_answer_meets_its_own_principle_and_no_other():
    constitution = rules(with_test("one"), with_test("two"))
    broken = {"BAD.": ["one", "two"], "OK.": ["two"], "Better.": ["two"], "Worse.": []}
    model = Replies(REWRITE, judge(broken))
    tests = run(model, constitution, only="one", alone=True)
    assert [[r.principle for r in t.record.rounds] for t in tests.results] == [["one"], []]
    assert ended(tests) == [EndedAs.REPAIRED, EndedAs.UNCHANGED]
    assert not [
        q
        for q in model.questions
        if "The assistant keeps two." in q[0].content
        and "OK." in q[0].content
        and "About one" in q[0].content
    ]
    together = run(Replies(REWRITE, judge(broken)), constitution, only="one")
    assert [r.principle for r in together.results[1].record.rounds] == ["two"]


def test_the_policy_is_asked_nothing():
    constitution = rules(with_test("one"))
    policy = Replies(lambda request: pytest.fail("asked"))
    others = Replies(REWRITE, judge({"BAD.": ["one"]}))
    cast = roles(policy, critic=others)
    settings = LoopSettings()
    starts = starts_of(constitution, constitution.principles, settings)
    tests = asyncio.run(run_loop_tests(constitution, starts, cast, settings))
    assert ended(tests) == [EndedAs.REPAIRED, EndedAs.UNCHANGED]
    assert [r.record.answer for r in tests.results] == ["BAD.", "OK."]


@pytest.mark.parametrize(
    ("worse", "silent", "ending", "told"),
    [
        ((), (), EndedAs.REWRITTEN, ""),
        (["one"], (), EndedAs.DAMAGED, "damaged: rewritten, it breaks the principle"),
        (["two"], (), EndedAs.DAMAGED, "damaged: rewritten, it breaks two, which it kept"),
        (
            (),
            [("Worse.", "one")],
            EndedAs.DAMAGED,
            "damaged: rewritten, no reader can say whether it keeps the principle",
        ),
        (
            (),
            [("Worse.", "two")],
            EndedAs.DAMAGED,
            "damaged: rewritten, no reader can say whether it still keeps two",
        ),
    ],
)
def test_damage_is_a_rewritten_answer_that_breaks_something_or_that_nobody_can_read(
    worse, silent, ending, told
):
    constitution = rules(with_test("one"), principle("two"))
    model = Replies(REWRITE, judge({"BAD.": ["one"], "Worse.": worse}, silent))
    tests = run(model, constitution, only="one", **ALWAYS, rounds=1)
    result = tests.results[1]
    assert (result.changed, result.ended_as, result.told) == (True, ending, told)
    assert tests.total.changed.value == 1.0
    assert tests.total.damaged.value == float(ending is EndedAs.DAMAGED)


def test_what_the_compliant_answer_broke_already_is_not_damage():
    constitution = rules(with_test("one"), principle("two"))
    model = Replies(REWRITE, judge({"BAD.": ["one"], "OK.": ["two"], "Worse.": ["two"]}))
    tests = run(model, constitution, only="one", **ALWAYS)
    assert tests.results[1].ended_as is EndedAs.REWRITTEN


def test_a_violating_answer_that_is_no_better_or_cannot_be_read_is_not_repaired():
    constitution = rules(with_test("one", violating=["BAD.", "Awful."]))
    reply = revising({"BAD.": "Bad still.", "Awful.": "Riddle."})
    texts = {"BAD.": ["one"], "Awful.": ["one"], "Bad still.": ["one"]}
    tests = run(Replies(reply, judge(texts, [("Riddle.", "one")])), constitution, **ALWAYS)
    assert ended(tests)[:2] == [EndedAs.UNREPAIRED] * 2
    tests = run(Replies(reply, judge(texts, [("Riddle.", "one")])), constitution)
    assert ended(tests)[:2] == [EndedAs.UNREPAIRED] * 2
    assert tests.total.refusals == {DropReason.NOT_BETTER: 2}
    assert tests.results[0].told == "unrepaired: it stands as it was (not better)"


def test_a_check_decides_and_no_verdict_is_asked_for():
    constitution = rules(
        with_test("one", ["BAD " * 9], ["OK then."], check=Check(max_words=4)),
        with_test("two", ["One, two, three."], ["Yes."], check=Check(forbid=("three",))),
    )

    def reply(request):
        return "Well then." if "words" in request.messages[-1].content else "One, two, three, four."

    model = Replies(reply, lambda messages: Choice((0.9, 0.1), 1.0))
    tests = run(model, constitution)
    assert ended(tests) == [
        EndedAs.REPAIRED, EndedAs.UNCHANGED, EndedAs.UNREPAIRED, EndedAs.UNCHANGED,
    ]  # fmt: skip
    assert tests.calibration is None
    assert not [q for q in model.questions if "true of this reply" in q[0].content]
    assert tests.results[0].as_dict()["by"] == "check"
    assert tests.of(constitution.principle("one")).repaired.value == 1.0
    assert tests.of(constitution.principle("two")).repaired.value == 0.0


def test_a_failure_is_neither_repair_nor_damage():
    constitution = rules(with_test("one", violating=["BAD.", "Awful."]))

    def reply(request):
        return FAILED if "Awful." in request.messages[-1].content else REWRITE(request)

    tests = run(Replies(reply, judge({"BAD.": ["one"], "Awful.": ["one"]})), constitution)
    assert [f.told for f in tests.failed] == ["the critic could not answer: down"]
    assert [c.title for c in tests.cases] == [
        "test 1, violating answer 1",
        "test 1, violating answer 2",
        "test 1, compliant answer 1",
    ]
    assert (tests.total.repaired.value, len(tests.total.violating)) == (1.0, 1)


def test_answers_of_one_test_are_not_counted_as_independent():
    constitution = rules(with_test("one", violating=["BAD.", "Awful."]))
    reply = revising({"BAD.": "Better.", "Awful.": "Better."})
    tests = run(Replies(reply, judge({"BAD.": ["one"], "Awful.": ["one"]})), constitution)
    assert (len(tests.total.violating), tests.total.repaired.count) == (2, 1)


def test_what_was_asked_before_is_not_asked_again():
    constitution = rules(with_test("one"))
    first = run(Replies(REWRITE, judge({"BAD.": ["one"]})), constitution)
    silent = Replies(lambda request: pytest.fail("asked"), lambda messages: pytest.fail("asked"))
    assert run(silent, constitution) == first


def test_a_test_meets_its_principle_by_tags_and_leaves_out_what_a_stakeholder_does():
    tagged = with_test("one", applies_to=AppliesTo(tags=("dogs",)))
    constitution = rules(
        tagged, with_test("two"), stakeholders={"calm": Stakeholder(weights={"two": 0.0})}
    )
    every = starts_of(constitution, constitution.principles, LoopSettings())
    assert [(s.principle.id, s.prompt.tags) for s in every] == [("one", ("dogs",))] * 2 + [
        ("two", ())
    ] * 2
    calm = starts_of(constitution, constitution.principles, LoopSettings(stakeholder="calm"))
    assert [s.principle.id for s in calm] == ["one"] * 2


@given(
    framing=st.sampled_from(["reviewer", "conversation"]),
    select=st.sampled_from(["targeted", "random", "every"]),
    accept=st.sampled_from(["better", "always"]),
    broken=st.lists(st.sampled_from(["one", "two"]), unique=True),
    rounds=st.integers(1, 3),
)
@example_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_critic_that_finds_nothing_repairs_none_and_damages_none(
    framing, select, accept, broken, rounds
):
    constitution = rules(with_test("one"), with_test("two"))
    model = Replies(
        revising({"BAD.": "Other.", "OK.": "Other."}, critique="No violation"),
        judge({"BAD.": broken, "OK.": broken}),
    )
    model.fingerprint = repr(broken)  # what is remembered of another judge is not this one's
    tests = run(model, constitution, framing=framing, select=select, accept=accept, rounds=rounds)
    assert ended(tests) == [EndedAs.UNREPAIRED, EndedAs.UNCHANGED] * 2
    assert tests.total.repaired.value == tests.total.damaged.value == 0.0
    assert tests.total.changed.value == 0.0
    assert set(tests.total.refusals) <= {DropReason.NOTHING_FOUND}
