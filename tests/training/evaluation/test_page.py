"""The evaluation's page: complete, escaped, and silent about what was not measured."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.shares import Estimate
from tests.training.evaluation.rich_results import MODELS, NASTY, PRINCIPLES, rich_results, share
from training.evaluation.page import evaluation_page
from training.evaluation.page.charts import HEIGHT, WIDTH, capability_mean, full_scale, safety_plane
from training.evaluation.page.headline import headline
from training.evaluation.page.page import samples_shown
from training.evaluation.page.tables import checkpoint_groups, probes, win_matrix
from training.evaluation.page.wording import Unit, figure
from training.evaluation.results import (
    AnswerCounts,
    AnswerVerdict,
    ModelAnswer,
    ModelResult,
    PromptAnswers,
    Results,
)
from training.evaluation.signs.reward_hacking import Sign

SHARES = st.floats(0, 1)
MINUS = "\N{MINUS SIGN}"


class Seen(HTMLParser):
    """What a browser would make of a page, near enough."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def results():
    return rich_results()


@pytest.fixture(scope="module")
def page(results):
    return evaluation_page(results)


@pytest.fixture(scope="module")
def seen(page):
    return Seen(page)


def bare(**figures) -> Results:
    """One checkpoint of which nothing was measured but what is given."""
    model = ModelResult("only", "embedded", AnswerCounts(3, 0, 0, 0, None), **figures)
    return Results("c", "0", (), "p.jsonl", 3, "", (model,))


def text_of(results: Results) -> str:
    return re.sub(
        r"\s+", " ", Seen(re.sub("(?s)<style>.*?</style>", "", evaluation_page(results))).text
    )


# What is there -------------------------------------------------------------------------------------


def test_every_section_is_there(page):
    sections = "findings gates checkpoints principles plane wins refusal signs attacks tasks"
    for id in [*sections.split(), "conversations"]:
        assert f'id="{id}"' in page
    anchors = set(re.findall(r'href="#([a-z-]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))


def test_errors_come_before_warnings_and_figures(seen):
    at = [
        seen.text.index(words)
        for words in ("also in the training data", "ran into the token limit")
    ]
    assert at == sorted(at)
    assert at[1] < seen.text.index("of principles broken")


def test_every_checkpoint_principle_task_attack_and_gate_is_told(seen, results):
    wanted = [*MODELS, *PRINCIPLES, "gsm8k", "mmlu", "prefix injection", "base64", "dan.Dan_11_0"]
    wanted += [gate.bound for gate in results.gates] + ["toxicity", "legal", "support"]
    assert [words for words in wanted if words not in seen.text] == []


def test_a_value_stands_beside_its_interval(page):
    """Wherever a figure is shown, its interval follows at once."""
    figures = re.findall(r'<span class="value">(.*?)</span> (<span class="interval">)?', page)
    assert len(figures) > 100
    assert all(interval for _, interval in figures)


def test_few_prompts_are_greyed_and_counted(page):
    small = re.findall(r'<span class="fig small"[^>]*>.*?n = (\d+)</span></span>', page)
    assert small and all(int(count) < 30 for count in small)
    assert page.count("n = 120") == 0


# What is not ---------------------------------------------------------------------------------------


def test_what_was_not_measured_is_left_out():
    told = text_of(bare())
    assert "0%" not in told
    for title in ("Principles", "Win rates", "Refusal", "Reward hacking", "Attacks", "Capability"):
        assert title not in told
    assert "violations not measured" in told


def test_a_figure_that_one_checkpoint_lacks_is_said_to_be_missing(results):
    rows = {row.label: row for group in checkpoint_groups(results) for row in group.rows}
    assert rows["Accuracy, change"].cells[0] is None
    assert all(rows["Accuracy, change"].cells[1:])
    assert "not measured" in evaluation_page(results)


def test_a_sign_that_could_not_be_measured_is_not_zero():
    told = text_of(bare(signs=(Sign("judge_agreement", None), Sign("brand_new", share(0.5)))))
    assert "Agreement of judges" in told and "not measured" in told
    assert "Brand new" in told


def test_no_results_at_all_make_a_page():
    assert "</html>" in evaluation_page(Results("c", "0", (), "p", 0, "", ()))


def test_an_evaluation_without_samples_filters_nothing(results):
    page = evaluation_page(replace(results, samples=()))
    assert "browse(" not in page and "aria-sort" in page, "tables are sorted all the same"
    assert "Show its answers" not in page


# Safety --------------------------------------------------------------------------------------------


def test_nothing_planted_becomes_markup(results):
    bad = tuple(replace(model, name=f"{model.name}{NASTY}", spec=NASTY) for model in results.models)
    results = replace(results, models=bad, constitution=NASTY, judge=NASTY, prompts=NASTY)
    seen = Seen(evaluation_page(results))
    assert seen.tags.count("script") == 1
    assert not {"img", "iframe", "link", "object", "base"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "style"]
    assert not [value for name, value in seen.attributes if name == "src"]
    assert "\u202e" not in seen.text and "⟨U+202E⟩" in seen.text


def test_only_its_own_script_may_run_and_nothing_is_loaded(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy and "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1] and "http" not in policy[1].replace("http-equiv", "")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", page)


# Figures in words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimate", "unit", "value", "interval"),
    [
        (Estimate(0.125, 0.08, 0.19, 120), Unit.SHARE, "12%", "8.0–19%"),
        (Estimate(0.0, 0.0, 0.031, 120), Unit.SHARE, "0%", "0–3.1%"),
        (Estimate(0.985, 0.94, 0.9996, 120), Unit.SHARE, "98%", "94 to >99.9%"),
        (Estimate(-0.104, -0.2, 0.0, 99), Unit.CHANGE, f"{MINUS}10.4 pts", f"{MINUS}20.0 to 0.0"),
        (Estimate(0.0149, -0.0001, 0.03, 99), Unit.CHANGE, "+1.5 pts", "0.0 to +3.0"),
        (Estimate(1.84, 1.7, 1.9, 99), Unit.RATIO, "1.84×", "1.70–1.90"),
        (Estimate(0.7, -0.2, 1.1, 99), Unit.SIGNED, "+0.70", f"{MINUS}0.20 to +1.10"),
        (Estimate(12.44, 9.8, 130.2, 99), Unit.NUMBER, "12.4", "9.80–130"),
    ],
)
def test_figures_are_written_as_read(estimate, unit, value, interval):
    told = figure(estimate, unit)
    assert told and (told.value, told.interval) == (value, interval)


def test_a_figure_without_a_number_was_not_measured():
    assert figure(None) is None
    assert figure(Estimate(math.nan, 0, 1, 9)) is None


# Drawings ------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SHARES, SHARES, st.integers(1, 900)), min_size=1, max_size=9))
def test_the_plane_holds_every_point_and_turns_violations_round(places):
    models = [
        ModelResult(
            f"m{at}", "", AnswerCounts(1, 0, 0, 0, None),
            violations=share(broken, count), capabilities={"t": share(able, count)},
        )
        for at, (broken, able, count) in enumerate(places)
    ]  # fmt: skip
    plane = safety_plane(models)
    assert plane and len(plane.points) == len(models)
    for point in plane.points:
        assert plane.left - 1e-6 <= point.left <= point.x <= point.right <= plane.right + 1e-6
        assert plane.top - 1e-6 <= point.top <= point.y <= point.bottom <= plane.bottom + 1e-6
        assert 0 <= point.label_x <= WIDTH and 0 <= point.label_y <= HEIGHT
    (x1, y1), (x2, y2) = [(p.x, p.y) for p in (plane.points[0], plane.points[-1])]
    broken_less = places[-1][0] < places[0][0] - 1e-9
    assert not broken_less or y2 <= y1
    assert places[-1][1] <= places[0][1] or x2 >= x1


def test_mean_capability_weighs_tasks_equally_and_is_surer_than_each(results):
    model = results.models[0]
    mean = capability_mean(model)
    tasks = list(model.capabilities.values())
    assert mean and mean.value == pytest.approx((tasks[0].value + tasks[1].value) / 2)
    assert mean.high - mean.low < max(task.high - task.low for task in tasks)
    assert capability_mean(replace(model, capabilities={})) is None


@given(st.lists(st.builds(share, SHARES), max_size=5))
def test_no_bar_runs_over_its_scale(estimates):
    scale = full_scale(estimates)
    assert all(estimate.high <= scale + 1e-9 for estimate in estimates)


def test_the_win_matrix_reads_the_same_from_both_sides(results):
    matrix = win_matrix(results)
    for row, (_, cells) in enumerate(matrix):
        assert cells[row] is None
        for column, win in enumerate(cells):
            if win:
                turned = matrix[column][1][row]
                assert (win.wins, win.losses, win.ties) == (turned.losses, turned.wins, turned.ties)
                assert win.heat + turned.heat == pytest.approx(10, abs=1)
    assert figure(results.win_over_base("dpo")) == matrix[2][1][0].rate
    assert figure(results.win_over_base("base")) is None


def test_other_tools_rows_may_lack_anything():
    rows = [{"hits": 1, "attempts": 4}, {"hits": 1, "attempts": 0}, {"hits": "1"}, {}]
    shares = [found for _, found in probes(rows)]
    assert shares[0] and shares[0].value == "25%"
    assert shares[1:] == [None, None, None]


# Samples -------------------------------------------------------------------------------------------


def answered(model: str, refusal: str = "", **verdicts: bool | None) -> ModelAnswer:
    given = tuple(AnswerVerdict(id, violates, 0.5) for id, violates in verdicts.items())
    return ModelAnswer(model, "text", refusal, verdicts=given)


def test_outcomes_compare_with_the_base():
    answers = (
        answered("dpo", "declines", a=False, b=True, c=None),
        answered("base", a=True, b=False, c=True),
    )
    [shown] = samples_shown([PromptAnswers("1", "held-out", (), answers)], ["base", "dpo"])
    base, dpo = shown.answers
    assert base.answer.model == "base"
    assert base.outcomes == ("broken",)
    assert set(dpo.outcomes) == {"broken", "undecided", "refused", "changed", "fixed", "worsened"}
    assert [set(v.outcomes) for v in dpo.verdicts] == [
        {"kept", "changed", "fixed"},
        {"broken", "changed", "worsened"},
        {"undecided"},
    ]


def test_an_answer_without_verdicts_is_neither_kept_nor_broken():
    [shown] = samples_shown([PromptAnswers("1", "benign", (), (answered("base"),))], ["base"])
    assert shown.answers[0].outcomes == ()
    assert shown.asked == ""


def test_a_sample_lacks_checkpoints_that_did_not_answer():
    [shown] = samples_shown(
        [PromptAnswers("1", "benign", (), (answered("dpo"),))], ["base", "sft", "dpo"]
    )
    assert [(one.answer.model, one.color) for one in shown.answers] == [("dpo", 2)]


def test_the_first_sentence_says_what_training_changed(results):
    exact = [
        replace(model, exact_violations=share(rate), exact_change=change)
        for model, rate, change in zip(
            results.models,
            (0.71, 0.5, 0.22),
            (None, None, Estimate(-0.49, -0.58, -0.4, 120)),
            strict=True,
        )
    ]
    exact[-1] = replace(exact[-1], tax=Estimate(0.01, -0.02, 0.04, 600))
    broken, capable = headline(replace(results, models=tuple(exact)))
    assert broken.startswith(
        f"Principles decided by checks: 71% broken by {MODELS[0]}, 22% by {MODELS[-1]} "
        f"(difference {MINUS}49.0 pts, 95% interval {MINUS}58.0 to {MINUS}40.0) on "
    )
    assert capable.endswith(
        f"(difference {MINUS}1.0 pts, 95% interval {MINUS}4.0 to +2.0, so it may be chance)."
    )
    judged, _ = headline(results)
    assert judged.startswith("Principles, as the judge sees them: ")
    assert judged in evaluation_page(results)
    assert headline(replace(results, models=results.models[:1])) == []


def test_a_checkpoint_that_answered_nothing_is_said_first_and_hides_no_other(results):
    gone = ModelResult("gone", "s", AnswerCounts(120, 120, 0, 0, None))
    both = replace(results, models=(*results.models, gone))
    *measured, silent = headline(both)
    assert measured == headline(results)
    assert silent == "gone answered none of 120 prompts: each ended in an error."
    assert "120 of 120 prompts failed" in text_of(both)


def test_the_page_says_that_the_embedded_judge_proves_nothing(results):
    for judge, unproven in (("vllm:large", False), ("embedded?backend=transformers", True)):
        page = evaluation_page(replace(results, judge=judge))
        assert ("this one is the embedded 135M model" in page) is unproven


def test_where_checks_decide_everything_no_judge_is_named(results):
    principles = tuple(replace(principle, exact=True) for principle in results.principles)
    page = evaluation_page(replace(results, principles=principles))
    assert "none: checks decide every principle" in page
    assert "only as good as the judge" not in page
    assert "only as good as the judge" in evaluation_page(results)
