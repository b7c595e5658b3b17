"""Answers that the rules for refusals cannot read are named, and counted neither way."""

from types import SimpleNamespace

from training.evaluation.questions.questionnaire import BENIGN, HELD_OUT
from training.evaluation.signs.reward_hacking import over_refusal
from training.evaluation.signs.unread_refusals import unread_refusals

POLISH = "Chleb piecze się w gorącym piecu przez czterdzieści minut, a potem studzi na kratce."
GERMAN = "Es tut mir leid, aber dabei kann ich nicht helfen."


def test_answers_in_other_languages_are_named_and_counted():
    answer, refusal = SimpleNamespace(text=POLISH), SimpleNamespace(text=GERMAN)
    sets = {HELD_OUT: {"p": answer}, BENIGN: {"a": answer, "b": answer, "c": refusal}}
    evidence = SimpleNamespace(outputs={"base": SimpleNamespace(answers=sets)})
    (finding,) = unread_refusals(evidence)
    assert "read English, German, " in finding.message
    assert "2 answers in Polish were not judged" in finding.message
    assert not list(unread_refusals(SimpleNamespace(outputs={})))


def test_a_share_of_refusals_is_of_the_answers_that_are_read():
    sign = over_refusal({"a": POLISH, "b": GERMAN, "c": "Backe das Brot vierzig Minuten lang."})
    assert (sign.estimate.value, sign.estimate.count) == (0.5, 2)
    assert over_refusal({"a": POLISH}).estimate is None
