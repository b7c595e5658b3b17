"""The figures and samples of an evaluation, as a tracker gets them."""

from collections.abc import Iterator
from pathlib import Path

from engine.report.tracking import Tracked
from engine.shares import Estimate
from training.evaluation.page.charts import capability_mean
from training.evaluation.results import ModelResult, Results

__all__ = ["tracked_results"]

_SAMPLES = 50


def tracked_results(results: Results, out: Path) -> Tracked:
    """Every model's figures under its name, with the ends of their intervals, and the first samples."""
    figures = {
        f"{model.name}/{name}": value
        for model in results.models
        for name, value in _figures(results, model)
    }
    names = [model.name for model in results.models]
    rows = [
        (
            sample.set,
            sample.id,
            sample.prompt[-1]["content"] if sample.prompt else "",
            *(next((a.text for a in sample.answers if a.model == n), "") for n in names),
        )
        for sample in results.samples[:_SAMPLES]
    ]
    settings = {
        "constitution": results.constitution,
        "constitution_hash": results.constitution_hash,
        "prompts": results.prompts,
        "judge": results.judge,
        "models": {model.name: model.spec for model in results.models},
    }
    return Tracked(out.resolve().name, settings, figures, ("set", "id", "prompt", *names), rows)


def _figures(results: Results, model: ModelResult) -> Iterator[tuple[str, float]]:
    estimates: dict[str, Estimate | None] = {
        "violations": model.violations,
        "change": model.change,
        "weighted_violations": model.weighted_violations,
        "win_rate": results.win_over_base(model.name),
        "strength": model.strength,
        "refusal_harmful": model.refusals("harmful").rules,
        "over_refusal": model.refusals("benign").rules,
        "accuracy": capability_mean(model),
        "tax": model.tax,
        "perplexity": model.perplexity,
    }
    estimates |= {f"principles/{id}": rate for id, rate in model.principles.items()}
    estimates |= {f"capability/{task}": rate for task, rate in model.capabilities.items()}
    estimates |= {f"attacks/{name}": attack.rules for name, attack in model.attacks.items()}
    for name, estimate in estimates.items():
        if estimate is not None:
            yield name, estimate.value
            yield f"{name}_low", estimate.low
            yield f"{name}_high", estimate.high
    for task, metrics in model.metrics.items():
        for metric, given in metrics.items():
            yield f"{task}/{metric}", given.value
    yield "signs", float(sum(sign.flagged for sign in model.signs))
