"""Before and after: shares and intervals, wins over the base, and nothing scored that was not said."""

import asyncio
import json

import jsonlines
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generators.base import Choice, Completion, FailureReason, GenerationError, Sampling
from engine.prompts import open_prompts
from tests.engine.builders import Replies, constitution
from training.answers import write_answers
from training.compare import Comparison, compare_models
from training.compare_figures import wilson_interval

RULES = constitution("one", "two", "three")


@pytest.fixture
def prompts(tmp_path):
    with jsonlines.open(tmp_path / "prompts.jsonl", "w") as rows:
        rows.write_all({"id": f"p{n}", "prompt": f"Question {n}?"} for n in range(8))
    return open_prompts(tmp_path / "prompts.jsonl")


def model(spec, reply):
    replies = Replies(reply)
    replies.spec = replies.fingerprint = spec
    return replies


def judge(verdict):
    """P(breaks the principle) as a function of the judge's question."""

    def answer(messages):
        found = verdict(messages[-1].content)
        return found if isinstance(found, Choice) else Choice((found, 1 - found), 1.0)

    replies = Replies(lambda _: "unused", answer)
    replies.spec = replies.fingerprint = "judge"
    return replies


def compare(prompts, models, judging, out, **settings):
    comparison = Comparison(prompts, RULES, **settings)
    figures = asyncio.run(compare_models(comparison, models, judging, out))
    return {row.name: row for row in figures}


def bad_is_bad(question):
    return 0.9 if "bad answer" in question else 0.1


def test_a_better_model_breaks_fewer_principles_and_wins(prompts, tmp_path):
    models = {
        "base": model("base", lambda _: "A bad answer."),
        "sft": model("sft", lambda _: "A good answer."),
    }
    rows = compare(prompts, models, judge(bad_is_bad), tmp_path / "out", principles=2)
    assert rows["base"].violation_rate == 1.0 and rows["sft"].violation_rate == 0.0
    assert rows["base"].win_rate is None
    assert rows["sft"].win_rate == 1.0 and rows["sft"].compared == 8
    assert rows["sft"].violation_interval == wilson_interval(0.0, 8)
    table = json.loads((tmp_path / "out" / "table.json").read_bytes())
    assert [row["name"] for row in table["models"]] == ["base", "sft"]
    with jsonlines.open(tmp_path / "out" / "answers.jsonl") as lines:
        assert all(len(line["verdicts"]) == 2 for line in lines)


def test_equal_models_tie(prompts, tmp_path):
    models = {name: model(name, lambda _: "The same.") for name in ("base", "sft")}
    rows = compare(prompts, models, judge(bad_is_bad), tmp_path / "out")
    assert rows["sft"].win_rate == 0.5 and rows["sft"].ties == 8


def test_a_judge_that_does_not_answer_scores_nothing(prompts, tmp_path):
    models = {name: model(name, lambda _: "Any.") for name in ("base", "sft")}
    rows = compare(prompts, models, judge(lambda _: Choice((0.9, 0.1), 0.001)), tmp_path / "out")
    assert rows["sft"].violation_rate is None and rows["sft"].win_rate is None
    assert rows["sft"].undecided == 8 * 3


def test_failed_empty_and_truncated_answers_are_told(prompts, tmp_path):
    def reply(request):
        match int(request.messages[-1].content.split()[1].rstrip("?")):
            case 0:
                return GenerationError(FailureReason.CONTEXT_OVERFLOW, "too long")
            case 1 | 2:
                return "  "
            case 3:
                return Completion("cut", "length", 5, 0, 7)
        return "Fine."

    rows = compare(prompts, {"base": model("base", reply)}, judge(bad_is_bad), tmp_path / "out")
    base = rows["base"]
    assert (base.prompts, base.failed) == (8, 1)
    assert (base.empty, base.truncated) == (2 / 7, 1 / 7)


def test_an_interrupted_comparison_asks_nothing_twice(prompts, tmp_path):
    class Gone(Exception):
        pass

    def breaks(_question):
        raise Gone

    models = {"base": model("base", lambda _: "One."), "sft": model("sft", lambda _: "Two.")}
    with pytest.raises(Gone):
        compare(prompts, models, judge(breaks), tmp_path / "out")
    asked = len(models["base"].requests)
    rows = compare(prompts, models, judge(bad_is_bad), tmp_path / "out")
    assert asked == len(models["base"].requests) == 8 and rows["sft"].compared == 8


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_its_share_and_narrows(counts):
    hits, trials = counts
    low, high = wilson_interval(hits / trials, trials)
    assert 0 <= low <= hits / trials + 1e-12 and hits / trials - 1e-12 <= high <= 1
    narrow = wilson_interval(hits / trials, 4 * trials)
    assert narrow[1] - narrow[0] < high - low


def test_the_interval_of_textbooks():
    assert wilson_interval(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_answers_become_rows_to_mix_in(prompts, tmp_path):
    def reply(request):
        first = request.messages[-1].content == "Question 0?"
        return Completion("Cut", "length", 5, 0, 7) if first else "An answer."

    out = tmp_path / "answers"
    counts = asyncio.run(write_answers(prompts, model("m", reply), Sampling(), 0, out))
    assert (counts.written, counts.truncated) == (7, 1)
    with jsonlines.open(out / "answers.jsonl") as lines:
        rows = list(lines)
    assert len(rows) == 7
    assert all(row["completion"][0]["content"] == "An answer." for row in rows)
