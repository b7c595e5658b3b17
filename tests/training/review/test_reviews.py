"""Verdicts come back to what they are about, and outweigh the judge's in training data."""

import json
import shutil
from collections import Counter

import jsonlines
import pytest

from constitution.problems import InputError
from engine.record_files import read_records
from engine.records import Outcome
from tests.engine.run_fixture import write_run
from tests.training.review.exports import (
    argilla_dump,
    label_studio_json,
    label_studio_min,
    nobody,
    write_label_run,
)
from training.data.export import ExportFormat, ExportOptions, export_run
from training.review.export import export_review
from training.review.reviews import import_reviews

PREFERENCE, SFT = ExportFormat.TRL_PREFERENCE, ExportFormat.TRL_SFT
TOOLS = {
    "json": ("label-studio", "tasks.json", label_studio_json),
    "json-min": ("label-studio", "tasks.json", label_studio_min),
    "argilla": ("argilla", "records.json", argilla_dump),
}


def lines(path):
    with jsonlines.open(path) as rows:
        return list(rows)


@pytest.fixture(scope="module")
def revised(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", 100)


@pytest.fixture
def labelled(tmp_path):
    return write_label_run(tmp_path / "labels", 12)


@pytest.fixture
def review(tmp_path):
    """Export `run`, let reviewers decide, and bring their verdicts back."""

    def do(run, *reviewers, tool="json", queue="pairs", name="reviews"):
        program, file, answered = TOOLS[tool]
        exported = export_review(run, program, queue, tmp_path / f"{name}-tasks")
        back = tmp_path / f"{name}.back.json"
        back.write_text(json.dumps(answered(exported.path / file, *reviewers)), encoding="utf-8")
        return import_reviews(back, run, tmp_path / name, all_submitted=True)

    return do


def prefer(word):
    """Reviewers who look for a word, and find replies equal where it is in neither."""

    def decide(shown):
        for side in "ab":
            if word in shown[f"response_{side}"]:
                return side.upper()
        return "equal"

    return decide


def preferences(run, out, reviews):
    result = export_run(run, PREFERENCE, out, ExportOptions(reviews=reviews))
    return result, lines(out / "train.jsonl")


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_brings_the_same_verdicts_back(labelled, review, tool):
    result = review(labelled, prefer("bad"), tool=tool)
    assert {r.item.replies["AB".index(r.verdict)][4:] for r in result.reviews} == {"bad."}
    assert len(result.reviews) == 24 and not result.unused
    compared = result.agreement.queues["pairs"]
    assert (compared.items, compared.same.value) == (24, 0.5), "the judge prefers bad to odd only"
    by_principle = result.agreement.principles
    assert by_principle["true"].same.value == by_principle["true"].kappa.value == 1
    assert by_principle["kind"].same.value == 0.5
    rows = lines(result.path / "reviews.jsonl")
    assert [row["item"] for row in rows] == sorted(row["item"] for row in rows)
    assert len(rows[0]["votes"]) == 1
    figures = json.loads((result.path / "agreement.json").read_bytes())
    assert figures["queues"]["pairs"]["items"] == 24


def test_reviewed_labels_override_the_judges_and_the_card_counts_them(labelled, review, tmp_path):
    reviews = review(labelled, prefer("bad")).path
    result, rows = preferences(labelled, tmp_path / "rows", reviews)
    assert {row["chosen"][0]["content"][4:] for row in rows} == {"bad."}
    assert {(row["probability"], row["method"], row["judge"]) for row in rows} == {
        (1.0, "review", "people")
    }
    assert result.overridden == len(rows) == 24
    card = (tmp_path / "rows" / "README.md").read_text(encoding="utf-8")
    assert "24 rows have people's verdict" in card
    _, judged = preferences(labelled, tmp_path / "judged", None)
    assert [set(row) for row in rows] == [set(row) for row in judged], "the same columns"


def test_a_share_of_reviewers_is_the_soft_label_and_an_even_split_gives_no_row(
    labelled, review, tmp_path
):
    reviews = review(labelled, prefer("bad"), prefer("bad"), prefer("good")).path
    _, rows = preferences(labelled, tmp_path / "rows", reviews)
    shares = Counter(round(row["probability"], 3) for row in rows)
    assert shares == {0.667: 12, 0.833: 12}, "a reviewer who finds both equal is half a vote"
    reviews = review(labelled, prefer("bad"), prefer("good"), name="split").path
    result, rows = preferences(labelled, tmp_path / "split-rows", reviews)
    assert result.skipped == {"review_finds_neither_better": 12}
    assert {row["chosen"][0]["content"][4:] for row in rows} == {"bad."}


def test_rows_that_nobody_reviewed_are_as_the_judge_left_them(labelled, review, tmp_path):
    def only_first(shown):
        return prefer("bad")(shown) if "Question 0?" in shown["prompt"] else None

    result = review(labelled, only_first)
    assert result.unused["passed over"] == 22
    exported, rows = preferences(labelled, tmp_path / "rows", result.path)
    _, judged = preferences(labelled, tmp_path / "judged", None)
    assert exported.overridden == 2
    assert [row for row in rows if row["id"] != "p0"] == [r for r in judged if r["id"] != "p0"]


def test_reviewers_agreement_with_one_another(labelled, review):
    (raters,) = review(labelled, prefer("bad"), prefer("bad")).agreement.raters
    assert (raters.left, raters.right, raters.compared.items) == ("1", "2", 24)
    assert raters.compared.same.value == raters.compared.kappa.value == 1
    (raters,) = review(labelled, prefer("bad"), prefer("good"), name="b").agreement.raters
    assert raters.compared.same.value == 0 and raters.compared.kappa.value < 0


def test_a_revision_that_people_like_less_is_not_trained_on(revised, review, tmp_path):
    answers = {record.id: record.answer for record in read_records(revised)}
    firsts = {answer for answer in answers.values() if "paperclip" in answer}
    assert firsts

    def first_answer(shown):
        shown = {side: shown[f"response_{side.lower()}"] for side in "AB"}
        return next((side for side in "AB" if shown[side] in firsts), None)

    reviews = review(revised, first_answer).path
    before = export_run(revised, SFT, tmp_path / "before")
    result = export_run(revised, SFT, tmp_path / "after", ExportOptions(reviews=reviews))
    left_out = result.skipped["review_prefers_the_first_answer"]
    assert left_out and result.rows == before.rows - left_out
    _, rows = preferences(revised, tmp_path / "pairs", reviews)
    swapped = [row for row in rows if row["chosen"][0]["content"] in firsts]
    assert len(swapped) == left_out and {row["method"] for row in swapped} == {"review"}


@pytest.mark.parametrize("tool", TOOLS)
def test_escalated_records_are_used_once_people_clear_them(revised, review, tmp_path, tool):
    cleared = review(revised, lambda shown: "keeps", tool=tool, queue="escalated", name="a")
    broken = review(revised, lambda shown: "breaks", tool=tool, queue="escalated", name="b")
    before = export_run(revised, SFT, tmp_path / "before")
    assert before.skipped["escalated"]

    def export(out, reviews, escalated=False):
        options = ExportOptions(include_escalated=escalated, reviews=reviews.path)
        return export_run(revised, SFT, tmp_path / out, options)

    used = export("used", cleared)
    assert used.rows == before.rows + before.skipped["escalated"]
    withheld = export("withheld", broken, escalated=True)
    assert withheld.rows == before.rows
    assert withheld.skipped["review_finds_a_principle_broken"] == before.skipped["escalated"]
    assert broken.agreement.queues["escalated"].same.value == 1
    assert broken.agreement.queues["escalated"].kappa is None, "the label is always the same"


def test_people_decide_about_what_the_loop_left_unresolved(revised, review, tmp_path):
    """By default an answer that breaks anything is unresolved: people who clear a critical principle clear
    that one, and the judge's other findings stand."""
    run = tmp_path / "unresolved"
    shutil.copytree(revised, run)
    records = [
        record.model_copy(update={"outcome": Outcome.UNRESOLVED})
        if record.unresolved and record.outcome is not Outcome.DROPPED
        else record
        for record in read_records(revised)
    ]
    text = "".join(f"{record.model_dump_json()}\n" for record in records)
    (run / "records.jsonl").write_text(text, encoding="utf-8")
    waiting = [r for r in records if r.escalate and r.outcome is Outcome.UNRESOLVED]
    alone = [r for r in waiting if len(r.unresolved) == 1]
    assert 0 < len(alone) < len(waiting)

    def export(out, **options):
        result = export_run(run, SFT, tmp_path / out, ExportOptions(**options))
        rows = lines(result.path / "train.jsonl")
        return result, {row["id"]: row["completion"][0]["content"] for row in rows}

    before, _ = export("before")
    assert before.skipped["escalated"] == len(waiting)
    keeps = review(run, lambda shown: "keeps", queue="escalated", name="a").path
    for out, options in (("people", {"reviews": keeps}), ("all", {"include_escalated": True})):
        after, rows = export(out, **options)
        assert after.rows == before.rows + len(alone)
        assert rows.items() >= {r.id: r.final for r in alone}.items()
        assert after.skipped["unresolved"] == before.skipped["unresolved"] + len(waiting) - len(
            alone
        )
        assert "escalated" not in after.skipped
    breaks = review(run, lambda shown: "breaks", queue="escalated", name="b").path
    after, _ = export("broken", reviews=breaks, include_escalated=True)
    assert after.rows == before.rows
    assert after.skipped["review_finds_a_principle_broken"] == len(waiting)


def test_an_undecided_reviewer_clears_nothing(revised, review, tmp_path):
    reviews = review(revised, lambda shown: "unclear", queue="escalated")
    before = export_run(revised, SFT, tmp_path / "before")
    after = export_run(revised, SFT, tmp_path / "after", ExportOptions(reviews=reviews.path))
    assert after.skipped == before.skipped and after.rows == before.rows


def test_a_later_verdict_of_a_reviewer_replaces_the_earlier(labelled, review):
    tasks = review(labelled, prefer("bad")).path.parent / "reviews-tasks" / "tasks.json"
    back = tasks.with_name("twice.json")
    rows = [*label_studio_json(tasks, prefer("good")), *label_studio_json(tasks, prefer("bad"))]
    back.write_text(json.dumps(rows), encoding="utf-8")
    result = import_reviews(back, labelled, back.with_name("twice"))
    assert {r.item.replies["AB".index(r.verdict)][4:] for r in result.reviews} == {"bad."}
    assert result.unused == {"replaced by a later one": 24}


def test_a_flat_argilla_dump_tells_drafts_from_what_was_submitted(labelled, tmp_path):
    exported = export_review(labelled, "argilla", out=tmp_path / "tasks", limit=3)
    ids = [row["id"] for row in json.loads((exported.path / "records.json").read_bytes())]
    rows = [
        {
            "id": id,
            "better.responses": ["A"],
            "better.responses.users": ["u"],
            "better.responses.status": [status],
        }
        for id, status in zip(ids, ("submitted", "draft", "discarded"), strict=True)
    ]
    back = tmp_path / "flat.json"
    back.write_text(json.dumps(rows), encoding="utf-8")
    result = import_reviews(back, labelled, tmp_path / "reviews")
    assert [review.item.id for review in result.reviews] == ids[:1]
    assert result.unused == {"draft": 1, "passed over": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("no json", "is not JSON"),
        ("3", "is not a JSON list; export"),
        ('[{"prompt": "x"}]', "is not an export"),
        ("[]", "holds no verdict"),
        ('[{"annotations": [{"result": []}], "data": {}}]', "has no 'item'"),
        ('[{"annotation_id": 1, "item": "i", "better": "left"}]', "is 'l'"),
        ('[{"annotation_id": 1, "item": "i", "equal": "equal"}]', "not of this run 1"),
        ('[{"annotations": null, "data": null}]', "holds no verdict"),
        ('[{"annotations": 3, "data": {}}]', "is not an export"),
        ('[{"id": 3, "fields": {}}]', "has no 'id'"),
    ],
)
def test_other_files_are_refused_and_write_nothing(labelled, tmp_path, content, told):
    file, out = tmp_path / "back.json", tmp_path / "reviews"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=told):
        import_reviews(file, labelled, out)
    assert not out.exists()


def test_verdicts_that_were_not_asked_for_are_refused(labelled, review, tmp_path):
    with pytest.raises(InputError, match="'keeps' is none of A, B, equal"):
        review(labelled, lambda shown: "keeps", tool="argilla")
    with pytest.raises(InputError, match="passed over 24"):
        review(labelled, nobody, name="none")


@pytest.mark.parametrize("content", [None, '{"a": 1}\n', "", '{"item": "x", "share": null}\n'])
def test_reviews_that_are_none_stop_an_export(labelled, tmp_path, content):
    file = tmp_path / "reviews.jsonl"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"reviews\.jsonl"):
        preferences(labelled, tmp_path / "rows", file)
    assert not (tmp_path / "rows").exists()


def test_the_last_word_is_the_last_in_time_however_the_export_is_ordered(labelled, review):
    tasks = review(labelled, prefer("bad")).path.parent / "reviews-tasks" / "tasks.json"
    rows = label_studio_json(tasks, prefer("bad"), prefer("good"))
    for row in rows:
        newest, oldest = row["annotations"]
        newest["updated_at"], oldest["completed_by"] = "2026-05-01T00:00:00Z", 1
    back = tasks.with_name("newest-first.json")
    back.write_text(json.dumps(rows), encoding="utf-8")
    result = import_reviews(back, labelled, back.with_name("newest"))
    assert {r.item.replies["AB".index(r.verdict)][4:] for r in result.reviews} == {"bad."}


def test_reviewers_without_a_name_are_not_one_person(labelled, review):
    tasks = review(labelled, prefer("bad")).path.parent / "reviews-tasks" / "tasks.json"
    rows = label_studio_json(tasks, prefer("bad"), prefer("bad"), prefer("good"))
    for row in rows:
        for annotation in row["annotations"]:
            del annotation["completed_by"]
    back = tasks.with_name("nameless.json")
    back.write_text(json.dumps(rows), encoding="utf-8")
    result = import_reviews(back, labelled, back.with_name("nameless"))
    assert not result.unused and {len(r.votes) for r in result.reviews} == {3}
    assert result.agreement.reviewers == 0 and result.agreement.raters == ()
    assert result.agreement.among["pairs"].items == 24


def test_a_nested_argilla_dump_does_not_say_what_was_submitted(labelled, tmp_path):
    exported = export_review(labelled, "argilla", out=tmp_path / "tasks")
    back = tmp_path / "back.json"
    dump = argilla_dump(exported.path / "records.json", prefer("bad"), prefer("good"))
    dump[0]["responses"]["better"][0]["value"] = None
    back.write_text(json.dumps(dump), encoding="utf-8")
    with pytest.raises(InputError, match=r"not known to be submitted 47.*flatten=True"):
        import_reviews(back, labelled, tmp_path / "reviews")
    result = import_reviews(back, labelled, tmp_path / "reviews", all_submitted=True)
    assert result.unused == {"passed over": 1}


def test_what_is_asked_twice_shows_how_far_reviewers_agree_with_themselves(revised, tmp_path):
    exported = export_review(revised, "label-studio", out=tmp_path / "tasks", repeat=0.2)
    tasks = exported.path / "tasks.json"
    ids = [task["data"]["item"] for task in json.loads(tasks.read_bytes())]
    twice = len(ids) - exported.items
    assert twice == round(0.2 * exported.items) > 1 and ids == sorted(set(ids))
    back = tmp_path / "back.json"
    answered = label_studio_json(tasks, prefer("a"), lambda shown: "AB"[int(shown["item"], 16) % 2])
    back.write_text(json.dumps(answered), encoding="utf-8")
    result = import_reviews(back, revised, tmp_path / "reviews")
    themselves = result.agreement.with_themselves
    assert themselves["1"].items == themselves["2"].items == twice
    assert themselves["1"].same.value == 1 > themselves["2"].same.value
    assert len(result.reviews) == exported.items and not result.unused


def test_ratings_have_an_order_and_a_reason(revised, review):
    def rate(far):
        return lambda shown: str(1 + min(4, len(shown["response"]) % 5 + far))

    same = review(revised, rate(0), rate(0), queue="ratings").agreement
    assert same.among["ratings"].alpha.value == 1 and same.among["ratings"].items > 50
    near = review(revised, rate(0), rate(1), queue="ratings", name="near").agreement
    assert near.among["ratings"].alpha.value > near.among["ratings"].ac1.value
    assert set(near.escalated_principles) == {
        name.removeprefix("ratings: ") for name in near.among if ":" in name
    }
