"""What `solon export --format label-studio`, `import-reviews` and `import-garak` say and refuse."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from constitution.problems import InputError
from scripts.commands.export import export
from scripts.commands.import_garak import import_garak
from scripts.commands.import_reviews import import_reviews
from tests.scripts.invoking import invoke
from tests.training.review.exports import label_studio_json, write_label_run


@pytest.fixture
def run(tmp_path):
    return write_label_run(tmp_path / "run", 4)


def test_reviews_go_out_come_back_and_are_exported(run, tmp_path):
    out = invoke(export, run, "--format", "label-studio", "--limit", 6)
    assert "6 of 8 questions" in out.output
    tasks = run / "exports" / "label-studio-pairs" / "tasks.json"
    back = tmp_path / "back.json"
    answered = label_studio_json(tasks, lambda shown: "A", lambda shown: "A")
    back.write_text(json.dumps(answered), encoding="utf-8")
    junit = tmp_path / "ci" / "reviews.xml"
    told = invoke(import_reviews, back, "--run", run, "--junit", junit, "--annotations")
    assert told.exit_code == 0, told.output
    cases = list(ElementTree.parse(junit).getroot())
    failed = [case for case in cases if case.find("failure") is not None]
    assert len(cases) == 6 and len(failed) == told.output.count("::error ") > 0
    for words in (
        "Cohen's kappa",
        "judge on kind",
        "each other: 1, 2",
        "6 items decided by 2",
        "alpha",
    ):
        assert words in told.output
    result = invoke(export, run, "-f", "trl-preference", "--reviews", run / "reviews")
    assert "6 rows as people decided" in result.output
    assert isinstance(invoke(import_reviews, back, "--run", run).exception, InputError)
    assert invoke(import_reviews, back, "--run", run, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    "options",
    [
        ("-f", "trl-sft", "--queue", "escalated"),
        ("-f", "trl-sft", "--limit", "3"),
        ("-f", "argilla", "--test-share", "0.1"),
        ("-f", "argilla", "--reviews", "x"),
        ("-f", "argilla", "--mix-ratio", "0.3"),
        ("-f", "label-studio", "--people-weight", "2"),
        ("-f", "label-studio", "--no-compliant"),
        ("-f", "trl-sft", "--repeat", "0.1"),
        ("-f", "trl-sft", "--repeat", "0.05"),
        ("-f", "trl-sft", "--mix-ratio", "0.3"),
        ("-f", "trl-preference", "--people-weight", "2"),
        ("-f", "trl-preference", "--no-compliant"),
        ("-f", "trl-preference", "--compliant"),
        ("-f", "trl-preference", "--every-revision"),
        ("-f", "trl-prompt", "--escalated"),
        ("-f", "trl-prompt", "--reviews", "x"),
    ],
)
def test_options_that_do_nothing_are_refused(run, options):
    error = invoke(export, run, *options).exception
    assert isinstance(error, InputError)
    (problem,) = error.problems
    assert problem.where == options[2] and problem.remedy == "leave it out"


def report(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


SETUP = {"entry_type": "start_run setup", "plugins.target_name": "our-dpo"}
EVAL = {"entry_type": "eval", "probe": "dan.Dan_11_0", "detector": "dan.DAN", "passed": 3}


def test_garak_reports_become_rows_and_a_table(tmp_path):
    attempt = {"entry_type": "attempt", "outputs": ["passed"]}
    counts = {"fails": 2, "nones": 1, "total_evaluated": 5, "total_processed": 6}
    new = report(tmp_path / "new.jsonl", SETUP, attempt, EVAL | counts)
    old_setup = {"entry_type": "start_run setup", "plugins.model_name": "base"}
    old = report(tmp_path / "old.jsonl", old_setup, EVAL | {"total": 3})
    out = tmp_path / "deep" / "rows.json"
    result = invoke(import_garak, new, old, "--out", out)
    assert result.exit_code == 0 and "40%" in result.output
    rows = json.loads(out.read_bytes())
    named = {"tool": "garak", "probe": "dan.Dan_11_0", "detector": "dan.DAN"}
    assert rows == [
        {**named, "model": "our-dpo", "attempts": 5, "hits": 2},
        {**named, "model": "base", "attempts": 3, "hits": 0},
    ]
    assert isinstance(invoke(import_garak, new, "--out", out).exception, InputError)


@pytest.mark.parametrize(
    "lines",
    [(), (SETUP,), (SETUP, EVAL), (EVAL | {"total": 2},), ({**EVAL, "total": 4, "probe": None},)],
)
def test_other_reports_are_refused_and_nothing_is_written(tmp_path, lines):
    out = tmp_path / "rows.json"
    result = invoke(import_garak, report(tmp_path / "r.jsonl", *lines), "--out", out)
    assert isinstance(result.exception, InputError) and not out.exists()
    missing = invoke(import_garak, tmp_path / "none.jsonl", "--out", out)
    assert isinstance(missing.exception, InputError)
