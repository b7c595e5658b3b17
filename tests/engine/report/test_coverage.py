"""Coverage: which principles did nothing, which say the same, which prompts nothing caught."""

from engine.messages import Message
from engine.records import DropReason, Outcome, Record, Round, Verdict
from engine.report.coverage import CoverageTally, Together


def record(number, broken=(), met=("a", "b", "c"), *, outcome=Outcome.REVISED, **fields):
    verdicts = tuple(
        Verdict(principle=id, principle_hash="", violates=id in broken, probability=0.5)
        for id in met
    )
    return Record(
        id=f"p{number}",
        row=number,
        prompt=(Message("user", f"Question {number}?"),),
        answer="x",
        final="x",
        outcome=outcome,
        final_verdicts=verdicts,
        constitution="h",
        **fields,
    )


def round_of(principle, **fields):
    return Round(round=0, principle=principle, principle_hash="", **fields)


def coverage(*records, ids=("a", "b", "c")):
    tally = CoverageTally()
    for one in records:
        tally.add(one)
    return tally.coverage(ids)


def test_principles_that_the_same_answers_break_are_told():
    broken = [record(n, ("a", "b") if n % 2 else ("c",)) for n in range(20)]
    assert coverage(*broken).together == (Together("a", "b", 10, 10),)


def test_a_pair_that_is_broken_apart_or_seldom_judged_is_not():
    apart = [record(n, ("a",) if n % 2 else ("a", "b")) for n in range(20)]
    seldom = [record(n, ("a", "b")) for n in range(9)]
    assert coverage(*apart).together == coverage(*seldom).together == ()


def test_a_principle_matters_by_a_revision_or_a_verdict():
    revised = round_of("a", critique="c", revision="r")
    kept = round_of("b", before=Verdict(principle="b", principle_hash="", violates=False))
    dropped = round_of("c", critique="c", dropped=DropReason.UNCHANGED_REVISION)
    met = [record(n, (), (), rounds=(revised, kept, dropped)) for n in range(5)]
    assert coverage(*met).never_mattered == ("b", "c")
    assert coverage(*met[:4]).never_mattered == ()
    broken = record(9, ("c",), ("c",))
    assert coverage(*met, broken).never_mattered == ("b",)


def test_a_principle_that_no_prompt_drew_is_told():
    assert coverage(record(1), ids=("a", "d")).never_drawn == ("a", "d")


def test_uncaught_prompts_are_counted_and_a_few_are_shown():
    kept = [record(n, outcome=Outcome.COMPLIANT, tags=("t",)) for n in range(50)]
    none = record(99, (), (), outcome=Outcome.DROPPED, drop_reason=DropReason.NO_PRINCIPLE_APPLIES)
    found = coverage(*kept, none, record(100, ("a",)))
    assert found.uncaught == 51
    assert found.uncaught_tags == (("t", 50),)
    assert len(found.uncaught_examples) == 5
    assert "Question 100?" not in found.uncaught_examples
    assert found.uncaught_examples == coverage(*kept[::-1], none).uncaught_examples
