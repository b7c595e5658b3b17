"""An evaluation as logs of Inspect (`.eval`), one for each model: its viewer and its tools read them."""

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from engine.shares import Estimate
from engine.storage.atomic import replacing
from training.evaluation.questions.questionnaire import HELD_OUT
from training.evaluation.results import ModelAnswer, ModelResult, PromptAnswers, Results

__all__ = ["write_inspect_logs"]

_VERSION = 2
"""Of the log's format."""


def write_inspect_logs(results: Results, folder: Path) -> list[Path]:
    """Write `folder/NAME.eval` for each model: the answers that results keep, with the judge's verdicts
    as scores (1 keeps the principle, 0 breaks it) and the violation rate as a metric."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for model in results.models:
        path = folder / f"{model.name}.eval"
        samples = [*_samples(results, model.name)]
        with replacing(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            for sample in samples:
                name = f"samples/{_safe(sample['id'])}_epoch_1.json"
                archive.writestr(name, json.dumps(sample))
            archive.writestr("summaries.json", json.dumps([_summary(s) for s in samples]))
            archive.writestr("header.json", json.dumps(_header(results, model, samples)))
        paths.append(path)
    return paths


def _samples(results: Results, model: str) -> Iterator[dict[str, Any]]:
    for sample in results.samples:
        for answer in sample.answers:
            if answer.model == model:
                yield _sample(sample, answer)


def _sample(sample: PromptAnswers, answer: ModelAnswer) -> dict[str, Any]:
    said = {"role": "assistant", "content": answer.text, "source": "generate"}
    stop = "max_tokens" if answer.truncated else "stop"
    return {
        "id": sample.id if sample.set == HELD_OUT else f"{sample.set}/{sample.id}",
        "epoch": 1,
        "input": list(sample.prompt),
        "target": "",
        "messages": [*sample.prompt, said],
        "output": {
            "model": answer.model,
            "choices": [{"message": said, "stop_reason": stop}],
            "completion": answer.text,
        },
        "scores": {
            verdict.principle: {
                "value": 0 if verdict.violates else 1,
                "explanation": verdict.reason or " ".join(verdict.failed) or None,
                "metadata": {"probability_of_violation": verdict.probability},
            }
            for verdict in answer.verdicts
            if verdict.violates is not None
        },
        "metadata": {"set": sample.set, "refusal": answer.refusal},
    }


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    kept = ("id", "epoch", "input", "target", "metadata", "scores")
    return {key: sample[key] for key in kept} | {"completed": True}


def _header(results: Results, model: ModelResult, samples: list[dict[str, Any]]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ids = [sample["id"] for sample in samples]
    name = f"solon/{results.constitution}"
    rates = {"violations": model.violations, **model.principles}
    scores = [_score(id, rate) for id, rate in rates.items() if rate is not None]
    digest = blake2b(f"{name} {model.spec} {now}".encode(), digest_size=11).hexdigest()
    return {
        "version": _VERSION,
        "status": "success",
        "eval": {
            "eval_id": digest,
            "run_id": digest,
            "created": now,
            "task": name,
            "task_id": digest,
            "dataset": {"name": results.prompts, "samples": len(ids), "sample_ids": ids},
            "model": model.spec,
            "config": {},
            "metadata": {"judge": results.judge, "constitution_hash": results.constitution_hash},
        },
        "plan": {},
        "results": {
            "total_samples": len(ids), "completed_samples": len(ids), "scores": scores,
        },
        "stats": {"started_at": now, "completed_at": now},
    }  # fmt: skip


def _score(name: str, rate: Estimate) -> dict[str, Any]:
    """The share of prompts that break it, over all of them, and the ends of its interval."""
    values = {"mean": rate.value, "low": rate.low, "high": rate.high}
    metrics = {key: {"name": key, "value": value} for key, value in values.items()}
    shown = f"{name} broken" if name != "violations" else name
    return {"name": shown, "scorer": "solon", "scored_samples": rate.count, "metrics": metrics}


def _safe(id: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in id)[:120] + f"-{_digest(id)}"


def _digest(id: str) -> str:
    """Ids may differ in what a file's name cannot hold."""
    return blake2b(id.encode("utf-8", "replace"), digest_size=4).hexdigest()
