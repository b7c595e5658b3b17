"""Who won each pair of answers, and why: what the judge said stands beside it."""

import asyncio

import pytest

from constitution.checks import Check
from engine.generators.base import Choice, GenerationError
from engine.messages import Message
from engine.prompts.sources import Prompt
from tests.engine.builders import constitution, principle
from tests.training.evaluation.test_run import Model, says
from training.evaluation.inputs import EvaluationInputs
from training.evaluation.judges.judging import Judges
from training.evaluation.page import evaluation_page
from training.evaluation.page.duels import duels_told, wins_by_principle
from training.evaluation.page.page import samples_shown
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.results import (
    AnswerVerdict,
    DuelShown,
    ModelAnswer,
    PromptAnswers,
    read_results,
)
from training.evaluation.run import EvaluationRun

PROMPTS = tuple(Prompt(f"p{n}", n, (Message("user", f"Question {n}?"),)) for n in range(12))
PAIR = ("base", "sft")


class Torn:
    """Takes the better answer with 0.9 where it is shown first and 0.6 second, or as it is told."""

    def __init__(self, odd=None):
        self.odd = odd

    def __call__(self, messages, choices):
        question = messages[-1].content
        if choices != ("A", "B"):
            breaks = 0.2 if "Good." in question else 0.8
            return Choice((breaks, 1 - breaks), 1.0)
        if self.odd is not None and "Question 3?" in question:
            return self.odd()
        first = 0.9 if question.index("Good.") < question.index("Poor.") else 0.4
        return Choice((first, 1 - first), 1.0)


def evaluated(out, judge, models=None, **changes):
    rules = changes.pop("rules", constitution("kind", "brief"))
    asked = Questionnaire(PROMPTS, rules, **changes)
    said = models or {"base": says("base", "Poor."), "sft": says("sft", "Good.")}
    inputs = EvaluationInputs(asked, said, Judges(Model("judge", lambda _: "unused", judge)))
    return asked, asyncio.run(EvaluationRun(inputs, out).execute())


def told_of(results, prompt=0):
    (told,) = duels_told(results.samples[prompt])
    return told


def test_a_pair_has_the_principle_and_the_judges_log_odds_in_either_place(tmp_path):
    asked, results = evaluated(tmp_path, Torn())
    told = told_of(results)
    assert told.duel.winner == "sft"
    assert told.duel.principle == asked.compared_under(PROMPTS[0]).id
    assert told.duel.probability == pytest.approx(0.25), "that the base's is better"
    assert told.why == (
        "judged better with p = 0.75 (log-odds +1.10): 0.90 shown first, 0.60 shown second"
    )
    assert not told.doubt
    assert read_results(tmp_path).samples == results.samples
    page = evaluation_page(results)
    assert (
        "asked in both orders" in page
        and told.why in page
        and "By the principle that decided" in page
    )


def test_pointwise_the_verdicts_on_each_answer_decide(tmp_path):
    _, results = evaluated(tmp_path, Torn(), method="pointwise")
    told = told_of(results)
    assert told.why == "probability of breaking it: base 0.80, sft 0.20; log-odds +2.77 for sft"
    assert "both orders" not in evaluation_page(results)


def test_win_rates_by_principle_add_up_to_the_whole(tmp_path):
    asked, results = evaluated(tmp_path, Torn())
    (pairing,) = results.pairings
    assert sum(rate.losses for rate in pairing.principles.values()) == pairing.result.losses == 12
    rows = wins_by_principle(results)
    assert [row.principle for row in rows] == ["kind", "brief"]
    under = [asked.compared_under(prompt).id for prompt in PROMPTS]
    assert [row.cells[0].wins for row in rows] == [under.count("kind"), under.count("brief")]


def test_a_check_that_decides_is_named(tmp_path):
    short = principle("short", check=Check(max_words=3))
    rules = constitution().model_copy(update={"principles": (short,)})
    models = {"base": says("base", "One two three four five."), "sft": says("sft", "One two.")}
    _, results = evaluated(tmp_path, Torn(), models, rules=rules)
    told = told_of(results)
    assert told.duel.winner == "sft"
    assert told.why.startswith("base does not pass its check: ") and "5 words" in told.why


def raising():
    raise GenerationError("server_error", "gone")


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (lambda: Choice((0.5, 0.5), 0.0), "the judge chose neither letter"),
        (raising, "the request to the judge failed"),
    ],
)
def test_a_pair_without_a_preference_says_so_and_is_in_no_rate(tmp_path, odd, why):
    _, results = evaluated(tmp_path, Torn(odd))
    told = told_of(results, 3)
    assert (told.duel.winner, told.why) == ("", why)
    assert results.pairings[0].result.losses == 11
    assert "are not compared" in evaluation_page(results)


def test_the_same_answer_is_a_tie_that_nobody_was_asked_about(tmp_path):
    models = {"base": says("base", "Good."), "sft": says("sft", "Good.")}
    _, results = evaluated(tmp_path, Torn(raising), models)
    told = told_of(results)
    assert (told.duel.winner, told.why) == ("", "the answers are the same, word for word")


def sample(duel, *verdicts):
    answers = (ModelAnswer("base", "Poor."), ModelAnswer("sft", "Good.", verdicts=verdicts))
    return PromptAnswers("p", "held-out", ({"role": "user", "content": "?"},), answers, (duel,))


@pytest.mark.parametrize(
    ("answers", "doubt"),
    [
        ((0.9, 0.8), "it takes whichever is shown first"),
        ((0.1, 0.3), "it takes whichever is shown second"),
        ((0.9, 0.2), ""),
        ((0.5, 0.9), ""),
    ],
)
def test_a_judge_that_contradicts_itself_between_the_orders_is_said_to(answers, doubt):
    probability = (answers[0] + 1 - answers[1]) / 2
    winner = PAIR[probability < 0.5]
    (told,) = duels_told(sample(DuelShown(PAIR, winner, "kind", "pairwise", probability, answers)))
    assert told.doubt == doubt


def test_a_tie_is_no_win_and_answers_are_found_by_how_they_fared_against_the_base():
    tie = DuelShown(PAIR, "", "kind", "pairwise", 0.51, (0.9, 0.88))
    (told,) = duels_told(sample(tie))
    assert told.why == "p = 0.51 for base: too near to a half"
    for winner, outcome in (("sft", "won"), ("base", "lost"), ("", "")):
        duel = DuelShown(PAIR, winner, "kind", "pairwise", 0.5, (0.5, 0.5))
        verdict = AnswerVerdict("kind", True, 0.9)
        (shown,) = samples_shown([sample(duel, verdict)], PAIR)
        base, sft = shown.answers
        assert {"won", "lost"} & set(sft.outcomes) == ({outcome} if outcome else set())
        assert not {"won", "lost"} & set(base.outcomes)
        assert sft.under == "kind"
