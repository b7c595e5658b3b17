"""Reasons to doubt an evaluation, found before any number is read.

`check_before` looks at what is going to be asked and by whom, `check_after` at whether the answers
and verdicts can carry figures. An "error" means that figures are wrong, a "warning" that they say
less than they seem to.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.generators.base import Generator
from engine.generators.spec import read_spec
from training.evaluation.evaluation import BENIGN, HARMFUL, HELD_OUT, Evaluation
from training.evaluation.results import Finding, ModelResult, RefusalRate
from training.evaluation.signs.overlap import Overlap, overlap
from training.evaluation.signs.provenance import TrainingRows
from training.stats.intervals import Estimate, wilson_interval

__all__ = ["FEWEST", "check_after", "check_before"]

FEWEST = 30
"""Prompts below which a share is hardly known."""
_MOST_UNDECIDED = 0.2
_MOST_TRUNCATED = 0.5
_SHOWN = 3


def check_before(
    evaluation: Evaluation,
    models: Mapping[str, Generator],
    judge: Generator,
    rows: TrainingRows,
) -> list[Finding]:
    """What is doubtful about the questions, the models and the judge, errors first.

    `rows` are what the models were trained on, as far as that is known; they are read twice.
    """
    found = [
        *_few(evaluation),
        *_judge_of_training(judge, rows),
        *_judge_of_itself(judge, models),
        *_no_chat_template(models),
        *_trained_on(evaluation, models, rows),
    ]
    return sorted(found, key=lambda finding: finding.severity != "error")


def check_after(models: Sequence[ModelResult], verdicts: Mapping[str, int]) -> list[Finding]:
    """What the answers show, errors first; `verdicts` counts those asked for, by model."""
    found = [
        *(finding for model in models for finding in _truncated(model)),
        *(finding for model in models for finding in _undecided(model, verdicts)),
        *_disputed_refusals(models),
        *_ceilings(models),
        *_same_principles(models),
    ]
    return sorted(found, key=lambda finding: finding.severity != "error")


def _few(evaluation: Evaluation) -> Iterator[Finding]:
    sets = {
        f"{HELD_OUT} prompts": len(evaluation.prompts),
        f"{HARMFUL} prompts": len(evaluation.harmful),
        f"{BENIGN} prompts": len(evaluation.benign),
        **{f"questions of {task.name}": len(task.items) for task in evaluation.tasks},
    }
    few = [(name, count, wilson_interval(0.5, count)) for name, count in sets.items() if count]
    told = [
        f"{count} {name} (± {(high - low) / 2:.0%})"
        for name, count, (low, high) in few
        if count < FEWEST
    ]
    if told:
        message = f"small sets, on which a share of 50% is known to: {', '.join(told)}"
        yield Finding("few-prompts", "warning", message, f"give {FEWEST} or more of each")


def _judge_of_training(judge: Generator, rows: TrainingRows) -> Iterator[Finding]:
    if judge.spec.partition("?")[0] in {spec.partition("?")[0] for spec in rows.judges()}:
        message = f"{judge.spec} judges here and judged in training: its taste is what was learnt"
        yield Finding("judge-of-training", "error", message, "give another --judge")


def _judge_of_itself(judge: Generator, models: Mapping[str, Generator]) -> Iterator[Finding]:
    own = [name for name, model in models.items() if model.fingerprint == judge.fingerprint]
    if own:
        message = f"the judge is {_listed(own)} itself, and models prefer answers of their own"
        yield Finding("judge-of-itself", "warning", message, "give another --judge")


def _no_chat_template(models: Mapping[str, Generator]) -> Iterator[Finding]:
    without = [name for name, model in models.items() if _lacks_template(model.spec)]
    if without:
        message = f"{_listed(without)} has no chat template: it cannot be asked as it was trained"
        remedy = "save the tokenizer of the training with its chat template beside the model"
        yield Finding("no-chat-template", "error", message, remedy)


def _lacks_template(spec: str) -> bool:
    """Whether a local model directory holds a tokenizer and no template for it."""
    model = Path(read_spec(spec).name)
    settings = model / "tokenizer_config.json"
    if not settings.is_file() or any(model.glob("chat_template.*")):
        return False
    try:
        found = json.loads(settings.read_bytes())
    except ValueError:
        return False
    return isinstance(found, dict) and not found.get("chat_template")


def _trained_on(
    evaluation: Evaluation, models: Mapping[str, Generator], rows: TrainingRows
) -> Iterator[Finding]:
    if not rows.files:
        if len(models) > 1:
            message = "no training rows are known, so none were compared with the prompts"
            yield Finding("overlap-unknown", "warning", message, "name them with --trained-on FILE")
        return
    sets = {HELD_OUT: evaluation.prompts, HARMFUL: evaluation.harmful, BENIGN: evaluation.benign}
    asked = [(name, prompt) for name, prompts in sets.items() for prompt in prompts]
    found = overlap(rows.prompts(), [prompt.messages[-1].content for _, prompt in asked])
    for name, prompts in sets.items():
        places = [place for place, (its, _) in enumerate(asked) if its == name]
        ids = {place: asked[place][1].id for place in places}
        yield from _overlapping(name, len(prompts), ids, found)


def _overlapping(
    name: str, count: int, ids: Mapping[int, str], found: Overlap
) -> Iterator[Finding]:
    remedy = "evaluate on prompts that were held out (`solon split` divides them)"
    exact = [id for place, id in ids.items() if place in found.exact]
    near = [id for place, id in ids.items() if place in found.near]
    of = f"of {count} {name} prompts"
    if exact:
        share = f"{len(exact) / count:.0%}"
        message = f"{len(exact)} {of} ({share}) were trained on word for word: {_listed(exact)}"
        yield Finding("overlap-exact", "error", message, remedy)
    if near:
        share = f"{len(near) / count:.0%}"
        most = max(found.near[place].similarity for place in ids if place in found.near)
        message = (
            f"{len(near)} {of} ({share}) are nearly what was trained on, up to {most:.0%} the "
            f"same: {_listed(near)}"
        )
        yield Finding("overlap-near", "warning", message, remedy)


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
                    f"{rate}: {end:.0%} for {_listed(list(at_end))}; on {one.count} prompts the "
                    f"truth may be {one.low:.0%} to {one.high:.0%}"
                )
                yield Finding(
                    "ceiling", "warning", message, "add prompts that are harder, or easier"
                )


def _disputed_refusals(models: Sequence[ModelResult]) -> Iterator[Finding]:
    """Judge and rules whose intervals of one rate do not meet: one of the two is wrong."""
    rates: dict[str, Callable[[ModelResult], RefusalRate | None]] = {
        HARMFUL: lambda model: model.harmful,
        BENIGN: lambda model: model.benign,
    }
    for name, read in rates.items():
        told = [
            f"{model.name} {rate.judge.value:.0%} against {rate.rules.value:.0%}"
            for model in models
            if (rate := read(model)) and rate.judge and rate.rules
            if rate.judge.low > rate.rules.high or rate.judge.high < rate.rules.low
        ]
        if told:
            message = f"refusals of {name} prompts, by the judge against by rules: {_listed(told)}"
            remedy = "read some answers; `solon judge calibrate` tells how far a judge is right"
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
                f"model from another: {_listed(same)}"
            )
            yield Finding("ceiling-principles", "warning", message, "add prompts that test them")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
