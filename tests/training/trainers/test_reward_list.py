"""A list of rewards: each of one kind, with a weight or as a veto, by profile, and never a failure."""

import asyncio
import math
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from constitution.checks import Check
from constitution.permissions import PYTHON_CHECKS, allow, needs_of
from constitution.problems import InputError
from constitution.schema import AppliesTo, Stakeholder
from engine.input_files import named_files
from engine.messages import Message
from tests.engine.builders import constitution, principle
from tests.training.trainers.test_rewards import FREE, Fixed, rewards
from training.trainers.answer_scorers import CheckScorer, EnsembleScorer, PythonScorer
from training.trainers.config import GRPOTrainingConfig
from training.trainers.reward_config import Reward
from training.trainers.rewards import Term
from training.trainers.scorers import NOT_APPLICABLE, AnswerScore, PrincipleDraw, Sample

QUESTION = (Message("user", "Hello?"),)
MODEL = {"model": "m", "dataset": "d", "out": "o"}
shares = st.floats(0, 1)


def score(scorer, answer="Hi.", tags=(), profile=None):
    return asyncio.run(scorer.score([Sample("p0", QUESTION, answer, tags, profile)]))[0]


def scored(name, value):
    return Fixed(name, a=AnswerScore(value))


# The settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({}, "nothing is given"),
        ({"judge": "scripted", "check": "all"}, "judge and check is given"),
        ({"length": {"penalty": 1.0}, "weight": 2.0}, "a penalty has no weight"),
        ({"check": "all", "below": 1.5}, "less than or equal to 1"),
        ({"check": "all", "weight": 0.0}, "greater than 0"),
        ({"combine": "mean", "python": "f.py:f", "rewerd": 1}, "rewerd"),
    ],
)
def test_a_reward_is_of_one_kind(written, told):
    with pytest.raises(ValidationError, match=told):
        Reward.model_validate(written)


def test_what_was_said_before_is_short_for_the_list():
    config = GRPOTrainingConfig.model_validate({
        **MODEL,
        "judge": "scripted",
        "judge_weight": 2.0,
        "reward_model": "rm",
        "constitution": "base",
        "rewards": [{"check": "all", "below": 0.5}, {"length": {"penalty": 0.1}}],
        "max_answer": 100,
    })
    assert [(r.kind, r.plain_weight, r.below) for r in config.all_rewards] == [
        ("judge", 2.0, None),
        ("reward_model", 1.0, None),
        ("check", 0.0, 0.5),
    ]
    assert (config.length.soft, config.length.penalty) == (75, 0.1)


def test_a_penalty_alone_is_no_reward():
    with pytest.raises(ValidationError, match="neither a judge nor a reward_model"):
        GRPOTrainingConfig.model_validate({**MODEL, "rewards": [{"length": {}}]})


def test_checks_need_a_constitution():
    with pytest.raises(ValidationError, match="without a constitution"):
        GRPOTrainingConfig.model_validate({**MODEL, "rewards": [{"check": "all"}]})


def test_python_in_a_list_asks_for_its_permission_and_its_file_is_found():
    written = {**MODEL, "rewards": [{"reward_model": ["a", "b"]}, {"python": "mine.py:score"}]}
    config = GRPOTrainingConfig.model_validate(written)
    (need,) = needs_of(config)
    assert (need.permission, need.at) == (PYTHON_CHECKS, ("rewards", 1, "python"))
    found = {(file.location, file.name) for file in named_files(config)}
    assert (("rewards", 1, "python"), "mine.py") in found
    assert (("rewards", 0, "reward_model"), "b") in found


# Vetoes and weights ---------------------------------------------------------------------------------


def test_a_veto_pays_nothing_and_is_counted():
    metrics = {}
    terms = [Term(scored("reward_model", 0.9)), Term(scored("check", 0.1), 0.0, 0.2)]
    values, counts = rewards(terms, "a", "b", metrics=metrics)
    assert values == [0.0, 0.5]
    assert counts.vetoed["check"] == 1
    assert metrics["vetoed/check"] == 0.5
    assert metrics["score/check"] == pytest.approx(0.3)


def test_a_vetoed_answer_still_pays_its_penalties():
    terms = [Term(scored("check", 0.1), 1.0, 0.2)]
    assert rewards(terms, ("a", [7] * 10))[0] == [-1.5]


def test_a_veto_that_failed_is_no_veto_and_no_reward():
    failing = Fixed("check", a=AnswerScore(None, "timeout"))
    assert rewards([Term(scored("judge", 0.9)), Term(failing, 0.0, 0.2)], "a")[0] == [None]


def test_what_does_not_apply_is_left_out_and_is_no_zero():
    silent = Fixed("check", a=NOT_APPLICABLE)
    values, counts = rewards([Term(scored("judge", 0.9)), Term(silent, 3.0, 0.5)], "a")
    assert values == [0.9]
    assert not counts.failures
    assert rewards([Term(silent)], "a")[0] == [None]


@given(st.lists(st.tuples(shares, st.floats(0.1, 3)), min_size=1, max_size=4), shares)
def test_a_reward_is_never_better_for_a_veto(pairs, below):
    plain = [Term(scored(f"s{i}", value), weight) for i, (value, weight) in enumerate(pairs)]
    vetoing = [plain[0]._replace(below=below), *plain[1:]]
    (without,), _ = rewards(plain, "a")
    (with_veto,), _ = rewards(vetoing, "a")
    assert with_veto == (0.0 if pairs[0][0] < below else without)


def test_a_profile_weighs_the_rewards_of_its_prompts():
    terms = [
        Term(scored("brief", 0.5), 1.0, None, {"legal": 0.0}),
        Term(scored("exact", 0.25), 1.0, None, {"legal": 4.0}),
    ]
    values, _ = rewards(terms, "a", "a", stakeholder=["legal", ""])
    assert values == [1.0, 0.75]


# Scorers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("combine", "k", "wanted"),
    [
        ("mean", 1.0, lambda v: fmean(v)),
        ("minimum", 1.0, lambda v: min(v)),
        ("lower", 0.5, lambda v: max(0.0, fmean(v) - 0.5 * pstdev(v))),
    ],
)
def test_an_ensemble_combines_its_members(combine, k, wanted):
    values = [0.9, 0.4, 0.8]
    members = [scored(f"rm{i}", value) for i, value in enumerate(values)]
    found = score(EnsembleScorer(members, combine, k), "a")
    assert found.value == pytest.approx(wanted(values))


def test_an_ensemble_fails_with_any_member():
    members = [scored("rm", 0.9), Fixed("rm", a=AnswerScore(None, "too long"))]
    assert score(EnsembleScorer(members), "a") == AnswerScore(None, "too long")


@given(st.lists(shares, min_size=2, max_size=5), st.floats(0, 4))
def test_a_cautious_ensemble_never_pays_more_than_the_mean(values, k):
    members = [scored("rm", value) for value in values]
    lower = score(EnsembleScorer(members, "lower", k), "a").value
    assert 0 <= lower <= score(EnsembleScorer(members), "a").value + 1e-12
    if k == 0:
        assert math.isclose(lower, fmean(values), abs_tol=1e-12)


RULES = constitution().model_copy(
    update={
        "principles": (
            principle("brief", check=Check(max_words=2), weight=3.0),
            principle("asks", check=Check(ends_with_question=True)),
            principle("work", check=Check(max_words=1), applies_to=AppliesTo(tags=("work",))),
            principle("kind"),
        ),
        "stakeholders": {"legal": Stakeholder(weights={"brief": 0.0})},
    }
)


def test_checks_pay_by_weight():
    all_checks = CheckScorer(PrincipleDraw(RULES))
    assert score(all_checks, "Hi there.").value == 0.75
    assert score(all_checks, "Hi there?", tags=("work",)).value == 0.8
    assert score(all_checks, "Hi there.", profile="legal").value == 0.0
    assert score(all_checks, "").value == 0.0


def test_only_the_checks_that_are_named_pay():
    named = CheckScorer(PrincipleDraw(RULES), frozenset({"asks"}))
    assert score(named, "One two three?").value == 1.0
    assert score(CheckScorer(PrincipleDraw(RULES), frozenset({"work"}))) == NOT_APPLICABLE


@pytest.fixture
def code(tmp_path, monkeypatch):
    monkeypatch.delenv("SOLON_ALLOWED", raising=False)
    file = tmp_path / "mine.py"
    file.write_text(
        "def words(prompt, answer): return len(answer.split()) / 10\n"
        "async def slow(prompt, answer): return prompt[-1]['content'] == 'Hello?'\n"
        "def unsure(prompt, answer): return None\n"
        "def broken(prompt, answer): return answer[99]\n",
        encoding="utf-8",
    )
    return file


def test_python_runs_only_where_it_may(code):
    with pytest.raises(InputError, match="may not run; if you trust it, add --allow-python-checks"):
        PythonScorer(f"{code}:words")


@pytest.mark.parametrize(
    ("function", "found"),
    [
        ("words", AnswerScore(0.2)),
        ("slow", AnswerScore(1.0)),
        ("unsure", AnswerScore(None, "the function returned None")),
        ("broken", AnswerScore(None, "IndexError: string index out of range")),
    ],
)
def test_python_scores_answers(code, function, found):
    allow(PYTHON_CHECKS)
    assert score(PythonScorer(f"{code}:{function}"), "Hi there.") == found


def test_a_number_beyond_1_is_no_score(code):
    allow(PYTHON_CHECKS)
    assert score(PythonScorer(f"{code}:words"), "x " * 11).value is None


def test_python_that_cannot_be_imported_is_refused(code):
    allow(PYTHON_CHECKS)
    with pytest.raises(InputError, match="cannot be imported"):
        PythonScorer(f"{code}:nothing")
    with pytest.raises(InputError, match="cannot be imported"):
        PythonScorer("nowhere.txt:nothing")


def test_every_term_has_its_own_place_in_the_log():
    metrics = {}
    terms = [Term(scored("rm", 0.9)), Term(scored("rm-2", 0.1), 0.0, 0.5)]
    rewards(terms, "a", metrics=metrics, penalties=FREE)
    assert (metrics["score/rm"], metrics["score/rm-2"]) == (0.9, 0.1)
