"""How a judge is read, from a constitution's own tests."""

import asyncio
import json
from dataclasses import replace
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from constitution.schema import PrincipleTest
from engine import revise
from engine.generators.base import Choice
from engine.judging.calibrate import calibrate, calibrated
from engine.judging.calibration import Calibration, TestedAnswer, calibration_of
from engine.settings import LoopSettings, RoleModel, roles
from tests.engine.builders import Replies, constitution, in_turn

TestedAnswer.__test__ = False


def answers(violating, compliant, principle="one"):
    sides = ((True, violating), (False, compliant))
    return [TestedAnswer(principle, side, p) for side, ps in sides for p in ps]


def with_tests(count, violating="Bad.", compliant="Good."):
    tests = tuple(
        PrincipleTest(prompt=f"Question {n}?", compliant=(compliant,), violating=(violating,))
        for n in range(count)
    )
    rules = constitution("one", "two")
    principles = tuple(p.model_copy(update={"tests": tests}) for p in rules.principles)
    return rules.model_copy(update={"principles": principles})


def saying(bad, good):
    """A judge that gives these probabilities to answers with and without "Bad"."""
    return Replies(
        in_turn(),
        lambda m: Choice((bad, 1 - bad) if "Bad." in m[0].content else (good, 1 - good), 1.0),
    )


def test_a_judge_that_always_says_yes_is_read_from_its_middle():
    found = calibration_of(answers([0.9] * 10, [0.7] * 10))
    assert found.own.auc == 1.0 and found.tells_apart
    assert found.adjusted("one", 0.9) > 0.5 > found.adjusted("one", 0.7)
    assert found.adjusted("another", 0.85) > 0.5 > found.adjusted("another", 0.8)


def test_no_sample_of_sixteen_is_not_never():
    violating, compliant = [1.0] * 8 + [0.5] * 4, [0.0] * 8 + [0.25] * 4
    rows = [replace(row, samples=16) for row in answers(violating, compliant)]
    found = calibration_of(rows)
    assert abs(found.shift) < 1.0 and found.slope > 0.3
    assert 0 < found.adjusted("one", 0.0, 16) < 0.1 < 0.9 < found.adjusted("one", 1.0, 16) < 1
    assert found.adjusted("one", 0.0) == 0.0
    assert found.as_dict()["verdicts_from"] == "16 samples"
    assert calibration_of(answers([0.9], [0.1])).as_dict()["verdicts_from"] == "log-probabilities"


def test_a_judges_samples_reach_its_calibration_and_its_verdicts():
    sampled = Replies(
        in_turn(),
        lambda m: Choice((1.0, 0.0) if "Bad." in m[0].content else (0.0, 1.0), 1.0, samples=16),
    )
    judge = RoleModel(sampled)
    found = asyncio.run(calibrate(judge, with_tests(10)))
    assert found.samples == 16 and found.own.auc == 1.0


def test_a_principles_middle_is_shrunk_towards_that_of_all():
    rows = answers([0.9] * 10, [0.6] * 10) + answers([0.99], [0.97], "two")
    found = calibration_of(rows)
    alone = calibration_of(answers([0.99] * 10, [0.97] * 10)).shift
    assert found.shift < found.shifts["two"] < alone


@pytest.mark.parametrize(("count", "known"), [(9, None), (10, True)])
def test_too_few_answers_say_nothing(count, known):
    found = calibration_of(answers([0.9] * count, [0.1] * 20))
    assert found.tells_apart is known
    assert bool(found.shift or found.shifts) is (known is True)


def test_ties_are_half_and_pairs_are_of_one_principle():
    assert calibration_of(answers([0.5] * 10, [0.5] * 10)).own.auc == 0.5
    across = answers([0.9] * 10, [0.8] * 10) + answers([0.2] * 10, [0.1] * 10, "two")
    assert calibration_of(across).own.auc == 1.0


def test_the_slope_says_how_much_a_step_means():
    def at(*odds):
        return [1 / (1 + exp(-each)) for each in odds]

    found = calibration_of(answers(at(*[1.5, 0.5] * 5), at(*[0.5, -0.5] * 5)))
    spread = 10 * 0.25 * 2 / 18  # of log-odds around their mean, with 18 degrees of freedom
    assert found.slope == pytest.approx(1.0 / spread, abs=1e-3)
    assert found.adjusted("one", at(1.5)[0]) == pytest.approx(
        1 / (1 + exp(-found.slope * (1.5 - 0.5)))
    )
    upside_down = calibration_of(answers(at(*[0.5, -0.5] * 5), at(*[1.5, 0.5] * 5)))
    assert (upside_down.slope, upside_down.tells_apart) == (1.0, False)


def test_certainty_stays_certain():
    found = Calibration({"one": 3.0})
    assert (found.adjusted("one", 0.0), found.adjusted("one", 1.0)) == (0.0, 1.0)


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999), st.floats(-5, 5))
def test_the_order_of_probabilities_is_kept(one, other, shift):
    found = Calibration(shift=shift)
    assert (one < other) <= (found.adjusted("p", one) <= found.adjusted("p", other))


def test_the_judge_is_asked_about_each_answer_once():
    judge = saying(0.8, 0.4)
    found = asyncio.run(calibrate(RoleModel(judge), with_tests(6)))
    assert (len(judge.questions), found.answers, found.own.auc) == (
        26,
        26,
        1.0,
    )  # one from elsewhere each


def test_answers_about_something_else_move_the_middle_where_they_lie_above():
    own = answers([0.9] * 10, [0.3] * 10)
    below = [TestedAnswer("one", False, 0.1, elsewhere=True)] * 4
    above = [TestedAnswer("one", False, 0.8, elsewhere=True)] * 4
    alone, low, high = (calibration_of(own + more) for more in ([], below, above))
    assert low.shifts == alone.shifts
    assert high.adjusted("one", 0.9) > 0.5 > high.adjusted("one", 0.8)
    assert alone.adjusted("one", 0.8) > 0.5


def test_a_judge_that_only_tells_subjects_apart_is_no_judge():
    elsewhere = [TestedAnswer("one", False, 0.95, elsewhere=True)] * 30
    found = calibration_of(answers([0.9] * 10, [0.3] * 10) + elsewhere)
    assert (found.own.auc, found.elsewhere.auc, found.tells_apart) == (1.0, 0.0, False)


def test_a_principle_asked_about_as_before_is_read_as_before():
    rules = with_tests(6)
    _, first = asyncio.run(calibrated(roles(saying(0.8, 0.4)), rules, LoopSettings()))
    one, two = rules.principles
    edited = two.model_copy(update={"statement": "The assistant is warm."})
    rules = rules.model_copy(update={"principles": (one, edited)})
    known = json.loads(json.dumps(first.as_dict()))
    _, second = asyncio.run(calibrated(roles(saying(0.9, 0.6)), rules, LoopSettings(), known=known))
    assert second.shifts["one"] == first.shifts["one"]
    assert second.shifts["two"] > first.shifts["two"]
    _, fresh = asyncio.run(calibrated(roles(saying(0.9, 0.6)), rules, LoopSettings()))
    assert fresh.shifts["one"] == second.shifts["two"] == fresh.shifts["two"]


def test_answers_without_a_verdict_do_not_count():
    judge = Replies(in_turn(), lambda _: Choice((0.5, 0.5), 0.0))
    found = asyncio.run(calibrate(RoleModel(judge), with_tests(6)))
    assert (found.answers, found.tells_apart) == (0, None)


def test_a_judge_that_cannot_tell_is_refused_unless_taken_anyway():
    rules = with_tests(6)
    with pytest.raises(InputError, match="--judge-anyway"):
        asyncio.run(calibrated(roles(saying(0.6, 0.6)), rules, LoopSettings()))
    anyway = LoopSettings(judge_anyway=True)
    _, found = asyncio.run(calibrated(roles(saying(0.6, 0.6)), rules, anyway))
    assert found.tells_apart is False


def test_the_papers_loop_asks_no_test():
    judge = saying(0.6, 0.6)
    settings = LoopSettings(select="random", accept="always")
    assert asyncio.run(calibrated(roles(judge), with_tests(6), settings))[1] is None
    assert not judge.questions


def test_a_run_keeps_the_calibration_in_its_manifest_and_reads_verdicts_by_it(tmp_path):
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "Hello?"}\n')
    rules = with_tests(6)

    def kind(question):
        return "Bad." in question or "a fitting reply" in question

    turns = in_turn("Bad.", "It is not kind.", "Good reply.")
    model = Replies(
        turns,
        lambda m: Choice((0.8, 0.2) if kind(m[0].content) else (0.6, 0.4), 1.0),
    )
    (record,) = revise(prompts, rules, model, out=tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["calibration"]["auc"] == 1.0
    assert [v.violates for v in record.first_verdicts] == [True, True]
    assert [v.violates for v in record.final_verdicts] == [False, False]
    assert record.final == "Good reply."
