"""What reviewers are asked: every pair once, in an order that tells nothing."""

import json

import jsonlines
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.messages import Message
from engine.record_files import read_records
from engine.report.summary import PrincipleText
from tests.engine.run_fixture import write_run
from tests.training.review.exports import write_label_run
from training.review.export import export_review
from training.review.items import ReviewItem, pair_item, review_items, shown_item


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", 120)


def row(chosen, rejected, id="p0"):
    chosen, rejected = ([{"role": "assistant", "content": text}] for text in (chosen, rejected))
    return {"id": id, "chosen": chosen, "rejected": rejected, "principles": ["kind", "kind"]}


@given(st.text(), st.text())
def test_swapping_chosen_and_rejected_changes_the_label_alone(one, other):
    left, right = pair_item(row(one, other)), pair_item(row(other, one))
    assert (left.id, left.replies) == (right.id, right.replies)
    assert one == other or left.label != right.label
    assert left.replies["AB".index(left.label)] == one


def test_the_chosen_reply_is_as_often_first_as_second():
    labels = [pair_item(row("aa", "b", id=f"p{n}")).label for n in range(1000)]
    assert 440 < labels.count("A") < 560


def test_every_revision_is_a_pair_and_every_critical_principle_a_question(run):
    records = list(read_records(run))
    revised = [r.id for r in records if r.final != r.answer and r.outcome == "revised"]
    assert [item.record for item in review_items(run, "pairs")] == revised
    escalated = list(review_items(run, "escalated"))
    assert [item.record for item in escalated] == [r.id for r in records if r.escalate]
    assert {item.principles for item in escalated} == {("no-physical-harm",)}
    assert {item.label for item in escalated} == {"breaks", None}, "None: the judge was undecided"


def test_a_pair_of_a_label_run_has_the_judges_label_under_each_principle(tmp_path):
    run = write_label_run(tmp_path / "run", 1)
    first, second = review_items(run, "pairs")
    said = [first.replies["AB".index(first.labels[name])] for name in ("kind", "true")]
    assert said == ["00: good.", "00: bad."]
    assert first.replies["AB".index(first.label)] == "00: good."
    said = [second.replies["AB".index(second.labels[name])] for name in ("kind", "true")]
    assert said == ["00: bad.", "00: bad."]
    with pytest.raises(InputError, match="is a label run"):
        list(review_items(run, "escalated"))


@pytest.mark.parametrize("tool", ["label-studio", "argilla"])
def test_nothing_that_is_imported_says_what_the_judge_chose(run, tmp_path, tool):
    result = export_review(run, tool, out=tmp_path / "out")
    name = "tasks.json" if tool == "label-studio" else "records.json"
    tasks = json.loads((result.path / name).read_text(encoding="utf-8"))
    with jsonlines.open(result.path / "key.jsonl") as lines:
        key = list(lines)
    ids = [task["data"]["item"] if tool == "label-studio" else task["id"] for task in tasks]
    assert ids == [line["item"] for line in key] == sorted(ids)
    assert len(ids) == len(set(ids)) == result.items == result.available
    assert not {"label", "chosen", "rejected", "probability"} & set(json.dumps(tasks).split('"'))
    assert [line["record"] for line in key] != sorted(line["record"] for line in key)


def test_a_larger_sample_holds_the_smaller_one_whole(run, tmp_path):
    few = export_review(run, "argilla", out=tmp_path / "few", limit=5)
    more = export_review(run, "argilla", out=tmp_path / "more", limit=9)
    read = [json.loads((out.path / "records.json").read_bytes()) for out in (few, more)]
    assert (few.items, more.items, few.available) == (5, 9, more.available)
    assert read[0] == read[1][:5]


@given(st.text(), st.text())
def test_texts_are_never_empty_and_hide_nothing(prompt, reply):
    item = ReviewItem("i", "escalated", "p", (Message("user", prompt),), (reply,), ("kind",), None)
    shown = shown_item(item, {"kind": PrincipleText("Be kind.")})
    assert shown.principles == "kind: Be kind."
    for text in (shown.prompt, *shown.replies):
        assert text and not {"\0", "\u202e", "\ud800"} & set(text)


def test_only_an_earlier_export_is_overwritten(run, tmp_path):
    out = tmp_path / "out"
    export_review(run, "label-studio", out=out, limit=3)
    with pytest.raises(InputError, match="exists already"):
        export_review(run, "label-studio", out=out)
    (out / "mine.txt").write_text("notes", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds mine\.txt"):
        export_review(run, "label-studio", out=out, overwrite=True)
    assert len(json.loads((out / "tasks.json").read_bytes())) == 3
