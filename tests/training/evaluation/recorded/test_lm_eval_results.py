"""Results of lm-eval from elsewhere: items for the tax, and every metric."""

import json

import pytest

from constitution.problems import InputError
from training.evaluation.recorded.lm_eval_results import read_lm_eval_results

OLD, NEW = "2026-01-02T03-04-05.678901", "2026-02-02T03-04-05.678901"


def written(folder, time, task, results, rows):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"results_{time}.json"
    path.write_text(json.dumps({"results": {task: results}}), encoding="utf-8")
    if rows:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"samples_{task}_{time}.jsonl").write_text(text, encoding="utf-8")


def test_the_newest_of_each_task_counts(tmp_path):
    folder = tmp_path / "org__model"
    rows = [{"doc_id": n, "filter": "none", "acc": float(n < 3), "acc_norm": 0.5} for n in range(4)]
    written(folder, NEW, "bbq", {"acc,none": 0.75, "amb_bias_score,none": -0.2, "alias": "b"}, rows)
    written(folder, OLD, "bbq", {"acc,none": 0.1}, [])
    written(folder, OLD, "truthfulqa_gen", {"bleu_max,none": 23.5, "bleu_max_stderr,none": 1}, [])
    found = read_lm_eval_results(tmp_path)
    assert found.scores["bbq"] == {"bbq:0": 1.0, "bbq:1": 1.0, "bbq:2": 1.0, "bbq:3": 0.0}
    assert found.metrics["bbq"]["acc"]["low"] < 0.75
    assert found.metrics["bbq"]["amb_bias_score"] == {"value": -0.2, "count": 4}
    assert found.metrics["truthfulqa_gen"] == {"bleu_max": {"value": 23.5, "count": 0}}
    assert found.scores["truthfulqa_gen"] == {}


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no results of lm-eval; name what"):
        read_lm_eval_results(tmp_path)
