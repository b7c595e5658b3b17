"""Files of other programs, with values where their readers expect something else: each is read, or
refused in an InputError."""

import json
from collections import Counter
from contextlib import suppress
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from tests.hostile_json import hostile_json
from training.data.shapes import examples
from training.data.turns import BadPrompt, Unusable
from training.evaluation.harness.garak import read_garak
from training.evaluation.harness.lm_eval_tasks import _Kept
from training.evaluation.recorded.lm_eval_results import read_lm_eval_results
from training.monitor.log import read_log
from training.review import overrides
from training.review.reviews import _usable, read_votes

TIME = "2026-01-01T00-00-00.000"


def objects(keys, words=""):
    return st.dictionaries(st.sampled_from(keys.split()), hostile_json(keys, words), max_size=4)


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_or_refused(read, value):
    with TemporaryDirectory() as folder, suppress(InputError):
        read(Path(folder), value)


def log(folder, row):
    whole = {"at": "2026-01-01", "prompt": "q", "answer": "a"}
    for found in read_log(lines(folder / "log.jsonl", whole | row)):
        assert found.rating is None or 0 <= found.rating <= 1


def votes(folder, rows):
    path = folder / "export.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    with suppress(InputError):
        found = read_votes(path, all_submitted=True)
        assert all(isinstance(vote.comment, str) for vote in found)
        _usable(path, found, {"i": SimpleNamespace(id="i", queue="pairs")}, {}, Counter())


def label_studio(folder, row):
    votes(folder, [row])
    votes(folder, [{"data": {"item": "i"}, "annotations": [row]}])
    votes(folder, [{"item": "i", "annotation_id": 1, **row}])


def argilla(folder, row):
    votes(folder, [{"id": "i", "fields": {}, **row}])
    answer = {"user_id": "u", "value": "A", "status": "submitted"} | row
    votes(folder, [{"id": "i", "fields": {}, "responses": {"better": [answer]}}])
    commented = {"better": [answer | {"value": "A"}], "comment": [answer]}
    votes(folder, [{"id": "i", "fields": {}, "responses": commented}])
    flat = {"better.responses": ["A"], "better.responses.users": ["u"]}
    votes(folder, [{"id": "i", **flat, "better.responses.status": [row.get("status")]}])


def garak(folder, row):
    line = {"entry_type": "eval", "probe": "p", "detector": "d", "passed": 1, "total": 2}
    read_garak(lines(folder / "report.jsonl", line | row))


def lm_eval(folder, row):
    for results in (row, {"t": row}, {"t": {"acc,none": row.get("acc")}}, {"t": {"acc,none": 0.5}}):
        whole = json.dumps({"results": results})
        (folder / f"results_{TIME}.json").write_text(whole, encoding="utf-8")
        items = ({"doc_id": 0, "acc": 0, **row}, {"doc_id": 1, "acc": row.get("acc", 1)})
        lines(folder / f"samples_t_{TIME}.jsonl", *items)
        with suppress(InputError):
            found = read_lm_eval_results(folder)
            assert all(isfinite(s) for task in found.scores.values() for s in task.values())


def kept_scores(folder, row):
    identity = {"task": "t"}
    (folder / "lm-eval").mkdir()
    rows = json.dumps([{"identity": identity, "scores": {}} | row])
    (folder / "lm-eval" / "m.json").write_text(rows, encoding="utf-8")
    kept = _Kept(folder, "m")
    if "identity" not in row:
        assert all(isfinite(score) for score in kept.scores(identity).values())
        metrics = kept.metrics(identity).values()
        assert all(isfinite(metric["value"] + metric["count"]) for metric in metrics)


def reviews(folder, row):
    lines(folder / "reviews.jsonl", {"item": "i", "share": 0.5} | row)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(overrides, "critical_principles", lambda run: frozenset())
        overrides.Overrides.read(folder, folder)


def training_rows(_, row):
    pair = {"prompt": "q", "chosen": "a", "rejected": "b"}
    for shape in ("sft", "preference", "unpaired", "prompt"):
        for given_row in (row, {"prompt": "q", "completion": "a"} | row, pair | row):
            with suppress(BadPrompt, Unusable):
                examples(given_row, shape)


READERS = {
    log: objects("at messages prompt role content answer id rating", "user assistant"),
    label_studio: objects(
        "item annotations data result value from_name choices text completed_by email id better "
        "verdict comment selected updated_at was_cancelled",
        "better verdict comment left",
    ),
    argilla: objects("id responses better comment user_id value status", "submitted draft"),
    garak: objects("entry_type probe detector passed total total_evaluated", "eval"),
    lm_eval: objects("t a/b acc acc,none doc_id filter", "none"),
    kept_scores: objects("identity scores metrics task value count"),
    reviews: objects("item share"),
    training_rows: objects(
        "prompt messages completion chosen rejected label margin probability score_chosen "
        "score_rejected system role content completions responses scores ratings",
        "user assistant",
    ),
}


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_whatever_a_file_holds_is_read_or_refused(read, data):
    read_or_refused(read, data.draw(READERS[read]))


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (log, {"rating": float("nan")}),
        (argilla, {"status": ["draft"]}),
        (argilla, {"value": [{}]}),
        (lm_eval, {"a/b": {"acc,none": 0.5}}),
        (lm_eval, {"t" * 400: {"acc,none": 0.5}}),
        (lm_eval, {"acc": 10**400}),
        (lm_eval, {"acc": 1e308, "doc_id": []}),
        (lm_eval, {"acc": 1e308}),
        (kept_scores, {"scores": ["x"]}),
        (kept_scores, {"metrics": ["x"]}),
        (kept_scores, {"metrics": {"bleu": 1}}),
        (kept_scores, {"metrics": {"bleu": {"value": "x", "count": 1}}}),
        (training_rows, {"score_chosen": 10**400, "score_rejected": 1}),
        (training_rows, {"responses": ["a", "b"], "scores": [1, 10**400]}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)[:30]),
)
def test_these_values_too(read, row):
    read_or_refused(read, row)
