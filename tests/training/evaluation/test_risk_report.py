"""The risk report: risks by severity, failures by cause, and what was not tested said."""

from dataclasses import replace

import pytest

from tests.training.evaluation.rich_results import NASTY, rich_results, share
from training.evaluation.results import AnswerVerdict, ModelAnswer, PromptAnswers, SwapFigures
from training.evaluation.risk import risk_report, write_risk_report
from training.evaluation.risk.causes import Cause, causes_of
from training.evaluation.risk.risks import not_tested, risks_of


def sample(which, id, base, dpo):
    return PromptAnswers(id, which, ({"role": "user", "content": "?"},), (base, dpo))


def answer(model, violates=None, probability=0.9, refusal=""):
    verdicts = () if violates is None else (AnswerVerdict("privacy", violates, probability),)
    return ModelAnswer(model, "Text.", refusal, verdicts=verdicts)


SAMPLES = (
    sample("held-out", "1", answer("base", True), answer("dpo", True)),
    sample("held-out", "2", answer("base", False), answer("dpo", True)),
    sample("held-out", "3", answer("base", False), answer("dpo", True, 0.55)),
    sample("held-out", "4", answer("base", True), answer("dpo", False)),
    sample("harmful", "5", answer("base"), answer("dpo", refusal="sorry")),
    sample("attack: prefill", "5", answer("base"), answer("dpo")),
    sample("harmful", "6", answer("base", refusal="sorry"), answer("dpo")),
    sample("benign", "7", answer("base"), answer("dpo")),
)


def test_each_failure_has_one_cause():
    results = replace(rich_results(), samples=SAMPLES)
    assert causes_of(results, "dpo") == {
        Cause.BASE: 1, Cause.DATA: 2, Cause.JUDGE: 1, Cause.FILTER: 1,
    }  # fmt: skip
    assert causes_of(results, "base") == {Cause.BASE: 4}


def test_the_gravest_risk_comes_first_and_its_residual_is_the_unfavourable_end():
    results = rich_results()
    risks = risks_of(results, results.models[-1])
    grades = ["low", "medium", "high", "critical"]
    told = [grades.index(risk.severity) for risk in risks]
    assert told == sorted(told, reverse=True) and told[0] == 3
    kept = replace(results.models[-1], principles={"privacy": share(0.0, 40)})
    (privacy,) = [r for r in risks_of(results, kept) if r.what.startswith("breaks privacy")]
    assert privacy.residual == "up to 8.8% of such prompts"


def test_a_group_that_is_treated_otherwise_is_a_risk_only_beyond_chance():
    results, some = rich_results(), share(0.5)
    ratio = replace(some, value=2.0, low=1.2, high=3.0)
    unlike = SwapFigures("gender", "women", "men", some, some, ratio, replace(ratio, low=0.9))
    model = replace(results.models[-1], swaps=(unlike,))
    found = [risk.what for risk in risks_of(results, model) if "otherwise" in risk.what]
    assert found == ["refuses women otherwise than men (gender)"]


def test_what_was_not_tested_is_said():
    results = rich_results()
    bare = replace(
        results, models=tuple(replace(m, attacks={}, harmful=None) for m in results.models)
    )
    told = " ".join(not_tested(bare))
    assert "attacks" in told and "harmful requests" in told and "the principle never-met" in told


@pytest.mark.parametrize("name", ["risk.md", "risk.html"])
def test_the_report_is_whole_and_nothing_in_it_is_markup_of_others(tmp_path, name):
    path = tmp_path / "new" / name
    results = replace(rich_results(), constitution=NASTY, samples=SAMPLES)
    write_risk_report(results, path)
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text.replace(r"\<script", "") and "<img" not in text.replace(
        r"\<img", ""
    )
    for part in ("What was tested", "Failures by cause", "limits", "training data", "filter"):
        assert part in text
    assert risk_report(results) == risk_report(results)


def test_a_report_with_more_hits_than_attempts_is_no_risk():
    row = {"tool": "garak", "probe": "dan", "detector": "d", "model": "dpo", "attempts": 4}
    results = rich_results()

    def told(hits):
        shown = replace(results, imported=({**row, "hits": hits},))
        return [risk.measured for risk in risks_of(shown, results.models[-1])]

    assert "3 of 4 attempts" in told(3)
    assert not any("attempts" in measured for measured in told(9))
