"""Results that lm-evaluation-harness wrote elsewhere (`--output_path`, `--log_samples`), read for a model.

FOLDER/.../results_TIME.json                  every metric of every task
FOLDER/.../samples_TASK_TIME.jsonl            what each item scored, where samples were logged
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from engine.storage.jsonl import numbered_jsonl
from training.evaluation.harness.lm_eval_scores import Metrics, Scores, metrics_of, scores_of

__all__ = ["TaskResults", "read_lm_eval_results"]

_TIME = re.compile(r"_(\d{4}-\d\d-\d\dT[\d.:-]{1,40})\.jsonl?\Z")
_REMEDY = "name what lm-eval was given as --output_path"


@dataclass(frozen=True, slots=True)
class TaskResults:
    """Of one model, by task: what each item scored (where samples were logged), and all metrics."""

    scores: dict[str, Scores]
    metrics: dict[str, Metrics]


def read_lm_eval_results(path: Path) -> TaskResults:
    """The newest results of each task in a folder, or in a file. Raises InputError where there are
    none."""
    files = sorted(path.rglob("results_*.json"), key=_time) if path.is_dir() else [path]
    found = TaskResults({}, {})
    for file in files:
        given = read_json(file, dict, _REMEDY).get("results")
        results = given if isinstance(given, dict) else {}
        for task in results:
            samples = {task: _samples(file, task)}
            if metrics := metrics_of(task, {task: results[task]}, samples):
                found.metrics[task] = metrics
                found.scores[task] = scores_of(samples)
    if not found.metrics:
        raise InputError(Problem(str(path), "holds no results of lm-eval", _REMEDY))
    return found


def _time(path: Path) -> str:
    match = _TIME.search(path.name)
    return match[1] if match else ""


def _samples(results: Path, task: str) -> list[dict[str, Any]]:
    """Logged at the same time, in the same folder, where a task may have any name."""
    name = f"samples_{task}_{_time(results)}.jsonl"
    files = [file for file in results.parent.glob("samples_*") if file.name == name]
    rows = [row for file in files if file.is_file() for _, row in numbered_jsonl(file)]
    return [row for row in rows if isinstance(row.get("doc_id"), int | str)]
