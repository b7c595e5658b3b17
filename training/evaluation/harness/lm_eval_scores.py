"""What lm-evaluation-harness says of its tasks: whether each item was answered correctly, and every
metric of a task, as both its own process and its results on disk have them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from constitution.reading import finite_number
from engine.shares import share_estimate
from training.stats.intervals import mean_estimate

__all__ = ["RUNS_CODE", "Metrics", "Samples", "Scores", "metrics_of", "scores_of"]

Scores: TypeAlias = dict[str, float]
"""By item: 1 where it was answered correctly, else 0."""
Metrics: TypeAlias = dict[str, dict[str, Any]]
"""By name: `value` and `count`, with `low` and `high` where the value is a mean over items."""
Samples: TypeAlias = Mapping[str, Sequence[Mapping[str, Any]]]
"""By task (a group has several): its items."""

RUNS_CODE = ("humaneval", "mbpp", "cruxeval", "longproc")
"""How the names of tasks begin that run what the model writes."""
_CORRECT = ("acc", "exact_match", "pass@1", "pass_at_1")
_PLAIN = "none"
"""The filter of an answer that is taken as it is."""


def scores_of(samples: Samples) -> Scores:
    """By item: its task and its number there; nothing where a task calls no item correct. Where
    answers are read in several ways, the first one counts."""
    scores: Scores = {}
    for task, rows in samples.items():
        names = [name for name in _CORRECT if rows and all(_is_number(r.get(name)) for r in rows)]
        if not names:
            return {}
        for row in rows:
            scores.setdefault(f"{task}:{row['doc_id']}", float(row[names[0]]))
    return scores


def metrics_of(task: str, results: Mapping[str, Any], samples: Samples) -> Metrics:
    """Every metric of a task or group; of a group without figures of its own, those of its tasks."""
    found: Metrics = {}
    own = {task: results[task]} if _figures(results.get(task)) else results
    for name, row in own.items():
        for key, value in _figures(row):
            metric, _, way = key.partition(",")
            label = metric if way in ("", _PLAIN) else f"{metric} ({way})"
            rows = samples.get(name) or [row for part in samples.values() for row in part]
            found[label if name == task else f"{name}: {label}"] = _metric(value, metric, way, rows)
    return found


def _figures(row: Any) -> list[tuple[str, float]]:
    pairs = row.items() if isinstance(row, Mapping) else ()
    return [
        (key, float(value))
        for key, value in pairs
        if "," in key and "_stderr," not in key and _is_number(value)
    ]


def _metric(value: float, name: str, way: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """With an interval where the items' own values have this mean; other figures have none."""
    values = [*_values(name, way, rows)]
    found = {"value": value, "count": len({row["doc_id"] for row in rows}) or len(values)}
    try:
        if not values or not math.isclose(math.fsum(values) / len(values), value, abs_tol=1e-6):
            return found
        shares = all(0 <= one <= 1 for one in values)
        estimate = share_estimate(values) if shares else mean_estimate(values)
    except OverflowError:  # of sums of figures that a float holds each alone
        return found
    return found | ({"low": estimate.low, "high": estimate.high} if estimate else {})


def _values(name: str, way: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    for row in rows:
        if row.get("filter", _PLAIN) == (way or _PLAIN) and _is_number(row.get(name)):
            yield float(row[name])


def _is_number(value: Any) -> bool:
    return isinstance(value, bool) or finite_number(value) is not None
