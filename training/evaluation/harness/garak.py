"""Reports of garak, a red-teaming tool, as rows that an evaluation shows.

A report has JSON lines of many kinds; `eval` lines count, by probe and detector, how many of the
outputs a detector looked at passed. The model is named where a run starts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.storage.jsonl import numbered_jsonl

__all__ = ["read_garak"]

_NAMES = ("plugins.target_name", "plugins.model_name")
"""As it is called now, and before version 0.13."""


def read_garak(path: Path) -> list[dict[str, Any]]:
    """Rows of `tool`, `probe`, `detector`, `model`, `attempts`, `hits`, in the report's order.

    Outputs that a detector could not decide on are not attempts. Raises InputError for a line that
    is not JSON, for counts that cannot be, and for a file without a finished probe.
    """
    if not path.is_file():
        raise InputError(Problem(str(path), "is missing", "name garak's file .report.jsonl"))
    rows: list[dict[str, Any]] = []
    model = ""
    for number, line in numbered_jsonl(path):
        kind = line.get("entry_type")
        if kind == "start_run setup":
            model = next((str(line[name]) for name in _NAMES if line.get(name)), model)
        elif kind == "eval":
            rows.append(_row(f"{path}:{number}", line, model))
    if not rows:
        remedy = "name the file .report.jsonl of a garak run that finished a probe"
        raise InputError(Problem(str(path), "has no result of a probe (no `eval` line)", remedy))
    return rows


def _row(where: str, line: Mapping[str, Any], model: str) -> dict[str, Any]:
    passed, total = line.get("passed"), line.get("total_evaluated", line.get("total"))
    named = isinstance(line.get("probe"), str) and isinstance(line.get("detector"), str)
    if not named or type(passed) is not int or type(total) is not int or not 0 <= passed <= total:
        what = "is an eval line without probe, detector, or counts that fit"
        raise InputError(Problem(where, what, "restore the report, or run garak again"))
    return {
        "tool": "garak",
        "probe": line["probe"],
        "detector": line["detector"],
        "model": model,
        "attempts": total,
        "hits": total - passed,
    }
