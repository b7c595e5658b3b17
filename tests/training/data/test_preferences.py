"""Labelled pairs as rows: the better answer chosen, with the judge's probability that it is."""

from hypothesis import given
from hypothesis import strategies as st

from engine.judging.records import (
    LabelledPair,
    LabelOutcome,
    LabelRecord,
    Preference,
    SampledAnswer,
    Undecided,
)
from engine.messages import Message
from training.data.datasets import label_preference_rows


def record(probability, dropped=None, answers=(0.6, 0.4)):
    given_under = Preference(
        principle="kind", principle_hash="h", method="pairwise", answers=answers
    )
    failed = Preference(
        principle="true",
        principle_hash="i",
        method="pairwise",
        answers=None,
        undecided=Undecided.UNANSWERED,
    )
    pair = LabelledPair(
        first=0,
        second=2,
        preferences=(failed, given_under),
        probability=probability,
        position_bias=0.1,
        dropped=dropped,
    )
    return LabelRecord(
        id="p0",
        row=0,
        prompt=(Message("user", "Hello?"),),
        samples=tuple(SampledAnswer(text=text) for text in ("zero", "one", "two")),
        pairs=(pair,),
        outcome=LabelOutcome.LABELLED,
        constitution="c",
        models={"policy": "P", "judge": "J"},
    )


@given(st.floats(0, 1))
def test_the_probability_is_that_of_the_chosen_answer(probability):
    (row,) = label_preference_rows(record(probability))
    chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
    assert row["probability"] == max(probability, 1 - probability)
    assert (chosen, rejected) == (("two", "zero") if probability < 0.5 else ("zero", "two"))


def test_a_row_names_the_principles_that_the_judge_could_decide_and_the_models():
    (row,) = label_preference_rows(record(0.7))
    assert (row["principles"], row["principle_hashes"]) == (["kind"], ["h"])
    assert (row["method"], row["model"], row["judge"]) == ("pairwise", "P", "J")
    assert (row["position_bias"], row["id"], row["constitution"]) == (0.1, "p0", "c")


def test_a_pair_without_a_label_is_no_row():
    assert list(label_preference_rows(record(0.5, Undecided.TIE))) == []
