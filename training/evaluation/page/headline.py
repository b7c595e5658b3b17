"""What an evaluation found, in a sentence or two that a stranger can read."""

from engine.shares import Estimate
from training.evaluation.page.charts import accuracy_change, capability_mean
from training.evaluation.page.wording import Unit, figure
from training.evaluation.results import ModelResult, Results

__all__ = ["headline"]


def headline(results: Results) -> list[str]:
    """What the last checkpoint that was measured breaks against the base, what that cost in
    capability, and who answered nothing.

    Of the principles that checks decide where there are any, else of all. Empty where nothing is
    compared and everybody answered.
    """
    base, *others = results.models or (None,)
    silent = [model for model in results.models if _failed_all(model)]
    answered = [model for model in others if model not in silent]
    found = []
    if base is not None and answered:
        found = [_broken(results, base, answered[-1]), _accuracy(base, answered[-1])]
    return [said for said in (*found, *map(_silence, silent)) if said]


def _failed_all(model: ModelResult) -> bool:
    return 0 < model.answers.prompts == model.answers.failed


def _silence(model: ModelResult) -> str:
    return (
        f"{model.name} answered none of {model.answers.prompts:,} prompts: each ended in an error."
    )


def _broken(results: Results, base: ModelResult, last: ModelResult) -> str | None:
    exact = last.exact_change is not None
    change = last.exact_change if exact else last.change
    before, after = (
        figure(model.exact_violations if exact else model.violations) for model in (base, last)
    )
    if before is None or after is None or change is None:
        return None
    subject = "Principles decided by checks" if exact else "Principles, as the judge sees them"
    return (
        f"{subject}: {before.value} broken by {base.name}, {after.value} by {last.name} "
        f"({_difference(change)}) on {results.prompt_count:,} held-out prompts."
    )


def _accuracy(base: ModelResult, last: ModelResult) -> str | None:
    before, after = (figure(capability_mean(model)) for model in (base, last))
    change = accuracy_change(last)
    if before is None or after is None or change is None:
        return None
    return (
        f"Questions with known answers: {before.value} right before, {after.value} after "
        f"({_difference(change)})."
    )


def _difference(change: Estimate) -> str:
    told = figure(change, Unit.CHANGE)
    if told is None:
        return "difference unknown"
    chance = ", so it may be chance" if change.low <= 0 <= change.high else ""
    return f"difference {told.value}, 95% interval {told.interval}{chance}"
