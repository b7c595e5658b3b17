"""Runs of `solon redteam` as rows that an evaluation shows: by principle, by turn and by tactic."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.record_files import read_rows
from engine.redteam.figures import attack_figures
from engine.redteam.records import AttackRecord
from engine.runs.manifest import run_manifest
from engine.shares import Estimate

__all__ = ["read_attacks"]


def read_attacks(run: Path) -> list[dict[str, Any]]:
    """One row for each principle, turn and tactic, as `solon import-garak` writes one for each probe.

    Raises InputError where `run` is no such run, or holds a row that is no record.
    """
    target = run_manifest(run, "redteam").get("models", {}).get("target", "")
    records = list(read_rows(run / "records.jsonl", AttackRecord))
    requests = {
        tactic: sum(
            attempt.tactic == tactic and attempt.verdict.violates is not None
            for record in records
            for attempt in record.attempts
        )
        for tactic in {attempt.tactic for record in records for attempt in record.attempts}
    }

    def rows() -> Iterator[dict[str, Any]]:
        found = attack_figures(records)
        for name, share in found.by_principle.items():
            yield _row(target, name, "prompts broken", share, share.count)
        for turn, share in found.by_turn.items():
            label = f"turn {turn}" if turn else "the seeds"
            yield _row(target, f"up to {label}", "prompts broken", share, share.count)
        for name, share in found.by_tactic.items():
            yield _row(target, name.replace("_", " "), "successful requests", share, requests[name])

    return list(rows())


def _row(target: str, probe: str, detector: str, share: Estimate, attempts: int) -> dict[str, Any]:
    return {
        "tool": "solon redteam",
        "probe": probe,
        "detector": detector,
        "model": target,
        "attempts": attempts,
        "hits": round(share.value * attempts),
    }
