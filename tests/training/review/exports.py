"""Runs to review, and exports as Label Studio and Argilla write them after a review."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.judging.records import (
    LabelledPair,
    LabelOutcome,
    LabelRecord,
    Preference,
    SampledAnswer,
    Undecided,
)
from engine.messages import Message

__all__ = ["argilla_dump", "label_studio_json", "label_studio_min", "nobody", "write_label_run"]

Decide = Callable[[Mapping[str, Any]], str | None]
"""The verdict on what is shown, `response_a` and `response_b` or `response`; None passes over it."""

_REVIEWER = "8f2a0c7e-46a4-4a28-9a2c-8ee2a1b0b001"


def nobody(shown: Mapping[str, Any]) -> None:
    """Pass over everything."""


def write_label_run(directory: Path, count: int) -> Path:
    """Prompts with three answers: two pairs have a label, one was dropped as a tie."""
    directory.mkdir()
    records = "".join(_record(row).model_dump_json() + "\n" for row in range(count))
    (directory / "records.jsonl").write_text(records, encoding="utf-8")
    manifest = {"kind": "label", "complete": True, "models": {"policy": "p", "judge": "j"}}
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return directory


def _record(row: int) -> LabelRecord:
    return LabelRecord(
        id=f"p{row}",
        row=row,
        prompt=(Message("user", f"Question {row}?"),),
        samples=tuple(SampledAnswer(text=f"{row:02}: {name}.") for name in ("good", "bad", "odd")),
        pairs=(_pair(0, 1, 0.9), _pair(2, 1, 0.3), _pair(0, 2, 0.5, Undecided.TIE)),
        outcome=LabelOutcome.LABELLED,
        constitution="c0",
        models={"policy": "p", "judge": "j"},
    )


def _pair(first: int, second: int, probability: float, dropped: Undecided | None = None):
    """Under `kind` the judge is as the pair is; under `true` it finds the second better."""
    answers = {"kind": (1 - probability, 0.5), "true": (0.9, 0.1)}
    preferences = tuple(
        Preference(principle=name, principle_hash="0a", method="pointwise", answers=both)
        for name, both in answers.items()
    )
    return LabelledPair(
        first=first,
        second=second,
        preferences=preferences,
        probability=probability,
        dropped=dropped,
    )


def label_studio_json(tasks: Path, *reviewers: Decide) -> list[dict[str, Any]]:
    """Its JSON export: every task with an annotation of each reviewer, number 1 and up."""
    rows = json.loads(tasks.read_text(encoding="utf-8"))
    return [
        {
            "id": number,
            "data": row["data"],
            "annotations": [
                {
                    "id": number * 10 + user,
                    "completed_by": user,
                    "was_cancelled": decide(row["data"]) is None,
                    "result": _results(decide(row["data"])),
                    "created_at": "2026-03-14T09:26:53Z",
                    "updated_at": "2026-03-14T09:26:53Z",
                    "lead_time": 4.2,
                }
                for user, decide in enumerate(reviewers, start=1)
            ],
            "predictions": [],
        }
        for number, row in enumerate(rows, start=1)
    ]


def label_studio_min(tasks: Path, *reviewers: Decide) -> list[dict[str, Any]]:
    """Its JSON-MIN export: a row for each annotation that was not skipped."""
    return [
        {
            **row["data"],
            "id": row["id"],
            **{r["from_name"]: _min(r) for r in annotation["result"]},
            "annotator": annotation["completed_by"],
            "annotation_id": annotation["id"],
        }
        for row in label_studio_json(tasks, *reviewers)
        for annotation in row["annotations"]
        if not annotation["was_cancelled"]
    ]


def argilla_dump(records: Path, *reviewers: Decide) -> list[dict[str, Any]]:
    """What `dataset.to_disk` writes to records.json."""
    rows = json.loads(records.read_text(encoding="utf-8"))
    for row in rows:
        question = "verdict" if "response" in row["fields"] else "better"
        said = [(user, decide(row["fields"])) for user, decide in enumerate(reviewers, start=1)]
        row["responses"] = {
            question: [
                {"value": verdict, "user_id": f"{_REVIEWER[:-1]}{user}"}
                for user, verdict in said
                if verdict is not None
            ]
        }
    return rows


def _results(verdict: str | None) -> list[dict[str, Any]]:
    if verdict is None:
        return []
    comment = {"from_name": "comment", "type": "textarea", "value": {"text": ["since"]}}
    if verdict in ("A", "B"):
        value = {"selected": "left" if verdict == "A" else "right"}
        said = {"from_name": "better", "to_name": "response_a", "type": "pairwise", "value": value}
        return [{"id": "1", **said}, {"id": "2", "to_name": "prompt", **comment}]
    name = "rating" if verdict.isdigit() else "equal" if verdict == "equal" else "verdict"
    of = "prompt" if verdict == "equal" else "response"
    said = {"from_name": name, "to_name": of, "type": "choices", "value": {"choices": [verdict]}}
    return [{"id": "1", **said}, {"id": "2", "to_name": of, **comment}]


def _min(result: Mapping[str, Any]) -> Any:
    value = result["value"]
    if result["type"] == "pairwise":
        return [value]
    return value["choices"][0] if result["type"] == "choices" else value["text"][0]
