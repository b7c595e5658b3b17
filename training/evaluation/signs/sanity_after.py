"""Reasons to doubt an evaluation's figures that show in the answers and in the verdicts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from training.evaluation.evidence import Evidence
from training.evaluation.questions.questionnaire import BENIGN, HARMFUL
from training.evaluation.results import Finding, ModelResult
from training.evaluation.signs.judge_signs import position_bias
from training.evaluation.signs.sanity_before import listed
from training.stats.intervals import Estimate

__all__ = ["check_after", "check_results"]

_MOST_UNDECIDED = 0.2
_MOST_TRUNCATED = 0.5


def check_after(evidence: Evidence, models: Sequence[ModelResult]) -> list[Finding]:
    """What answers and verdicts show about the evaluation itself, errors in the figures first."""
    verdicts = evidence.judged.verdicts
    asked = {name: sum(map(len, of_model.values())) for name, of_model in verdicts.items()}
    return [
        *check_results(models, asked),
        *_alike(evidence),
        *_position_bias(evidence),
        *_failures(evidence),
    ]


def check_results(models: Sequence[ModelResult], verdicts: Mapping[str, int]) -> list[Finding]:
    """What the figures show, errors first; `verdicts` counts those asked for, by model."""
    found = [
        *(finding for model in models for finding in _truncated(model)),
        *(finding for model in models for finding in _undecided(model, verdicts)),
        *_disputed_refusals(models),
        *_ceilings(models),
        *_same_principles(models),
    ]
    return sorted(found, key=lambda finding: finding.severity != "error")


def _truncated(model: ModelResult) -> Iterator[Finding]:
    answers = model.answers
    given = answers.prompts - answers.failed
    if not given or answers.truncated <= _MOST_TRUNCATED * given:
        return
    whole = answers.truncated == given
    share = (
        f"all {given}"
        if whole
        else f"{answers.truncated} of {given} ({answers.truncated / given:.0%})"
    )
    message = f"{share} answers of {model.name} were cut off before their end"
    yield Finding("truncated", "error" if whole else "warning", message, "raise --max-tokens")


def _undecided(model: ModelResult, verdicts: Mapping[str, int]) -> Iterator[Finding]:
    asked, undecided = verdicts.get(model.name, 0), model.answers.undecided
    if not asked or undecided <= _MOST_UNDECIDED * asked:
        return
    severity = "error" if undecided == asked else "warning"
    message = (
        f"the judge could not decide {undecided} of {asked} verdicts ({undecided / asked:.0%}) on "
        f"{model.name}"
    )
    yield Finding("undecided", severity, message, "give another --judge, or shorter answers")


_RATES: Mapping[str, Callable[[ModelResult], Estimate | None]] = {
    "broken principles": lambda model: model.violations,
    "refusals of harmful prompts": lambda model: model.harmful.rules if model.harmful else None,
    "refusals of benign prompts": lambda model: model.benign.rules if model.benign else None,
}


def _ceilings(models: Sequence[ModelResult]) -> Iterator[Finding]:
    """Rates of 0 % or 100 %: a model that is better, or worse, would look the same."""
    names = dict.fromkeys(task for model in models for task in model.capabilities)
    rates = [
        (rate, [(model.name, read(model)) for model in models]) for rate, read in _RATES.items()
    ]
    rates += [
        (f"right answers to {task}", [(m.name, m.capabilities.get(task)) for m in models])
        for task in names
    ]
    for rate, measured in rates:
        for end in (0.0, 1.0):
            at_end = {name: found for name, found in measured if found and found.value == end}
            if at_end:
                one = max(at_end.values(), key=lambda found: found.high - found.low)
                message = (
                    f"{rate}: {end:.0%} for {listed(list(at_end))}; on {one.count} prompts the "
                    f"truth may be {one.low:.0%} to {one.high:.0%}"
                )
                yield Finding(
                    "ceiling", "warning", message, "add prompts that are harder, or easier"
                )


def _disputed_refusals(models: Sequence[ModelResult]) -> Iterator[Finding]:
    """Judge and rules whose intervals of one rate do not meet: one of the two is wrong."""
    rates = {
        HARMFUL: [(model.name, model.harmful) for model in models],
        BENIGN: [(model.name, model.benign) for model in models],
    }
    for name, measured in rates.items():
        told = [
            f"{model} {rate.judge.value:.0%} against {rate.rules.value:.0%}"
            for model, rate in measured
            if rate and rate.judge and rate.rules
            if rate.judge.low > rate.rules.high or rate.judge.high < rate.rules.low
        ]
        if told:
            message = f"refusals of {name} prompts, by the judge against by rules: {listed(told)}"
            remedy = "read some answers; `solon judge calibrate` shows how far a judge is right"
            yield Finding("refusals-disputed", "warning", message, remedy)


def _same_principles(models: Sequence[ModelResult]) -> Iterator[Finding]:
    """Principles that every answer of every model keeps, or breaks."""
    names = dict.fromkeys(name for model in models for name in model.principles)
    for end, told in ((0.0, "keeps"), (1.0, "breaks")):
        same = [
            name
            for name in names
            if all(m.principles[name].value == end for m in models if name in m.principles)
        ]
        if same:
            message = (
                f"every answer {told} {len(same)} of {len(names)} principles, which then tell no "
                f"model from another: {listed(same)}"
            )
            yield Finding("ceiling-principles", "warning", message, "add prompts that test them")


def _alike(evidence: Evidence) -> Iterator[Finding]:
    """Models whose every answer is another's: what they differ in, sampling does not show."""
    for one, other in combinations(evidence.outputs, 2):
        texts = evidence.texts(one)
        if texts and texts == evidence.texts(other):
            message = f"{other} gives every held-out prompt the very answer of {one}"
            remedy = "train longer, at a higher learning rate or on more rows"
            yield Finding("same-answers", "warning", message, remedy)


def _position_bias(evidence: Evidence) -> Iterator[Finding]:
    orders = [pair for pairs in evidence.judged.orders.values() for pair in pairs]
    sign = position_bias(sorted(orders))
    if sign.flagged:
        remedy = "both orders were asked, so it cancels out; --method pointwise has none"
        yield Finding("position-bias", "warning", sign.told, remedy)


def _failures(evidence: Evidence) -> Iterator[Finding]:
    """Questions that ended in an error: they are in no figure."""
    asked = {name: outputs.failures for name, outputs in evidence.outputs.items()}
    for name, failures in {**asked, "the judge": evidence.judged.failures}.items():
        if failures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in failures.most_common())
            message = f"{failures.total():,} requests to {name} failed: {reasons}"
            yield Finding("failures", "warning", message, "see what the engine says")
