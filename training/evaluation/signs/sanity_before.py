"""Reasons to doubt an evaluation that are found before anything is asked: by whom, whom, what.

An "error" means that figures are wrong, a "warning" that they say less than they seem to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

from constitution.problems import InputError
from constitution.reading import read_json
from engine.generators.base import Generator
from engine.generators.model_files import model_within
from engine.generators.spec import read_spec
from engine.report.wording import reason_counts
from engine.shares import Estimate, wilson_interval
from training.evaluation.evidence import Evidence
from training.evaluation.questions.questionnaire import BENIGN, HARMFUL, HELD_OUT, Questionnaire
from training.evaluation.results import Finding, ModelResult
from training.evaluation.signs.checkpoint_signs import position_bias
from training.evaluation.signs.overlap import overlap
from training.evaluation.signs.provenance import TrainingRows
from training.evaluation.signs.unread_refusals import unread_refusals

__all__ = ["FEWEST", "check_after", "check_before", "check_results", "listed"]

FEWEST = 30
"""Prompts below which a share is hardly known."""
_SHOWN = 3


def check_before(
    questionnaire: Questionnaire,
    models: Mapping[str, Generator],
    judge: Generator,
    rows: TrainingRows,
) -> list[Finding]:
    """What is doubtful about the questions, the models and the judge, errors first.

    `rows` are what the models were trained on, as far as that is known; they are read twice.
    """
    found = [
        *_few(questionnaire),
        *(_who_judges(judge, models, rows) if _needs_judge(questionnaire) else ()),
        *_untemplated(models),
        *_trained_on(questionnaire, models, rows),
    ]
    return sorted(found, key=lambda finding: finding.severity != "error")


def _few(questionnaire: Questionnaire) -> Iterator[Finding]:
    sets = {
        f"{HELD_OUT} prompts": len(questionnaire.prompts),
        f"{HARMFUL} prompts": len(questionnaire.harmful),
        f"{BENIGN} prompts": len(questionnaire.benign),
        **{f"questions of {task.name}": len(task.items) for task in questionnaire.tasks},
    }
    told = []
    for name, count in sets.items():
        low, high = wilson_interval(0.5, count)
        if 0 < count < FEWEST:
            told.append(f"{count} {name} (± {(high - low) / 2:.0%})")
    if told:
        message = f"small sets, on which a share of 50% is known to: {', '.join(told)}"
        yield Finding("few-prompts", "warning", message, f"give {FEWEST} or more of each")


def _needs_judge(questionnaire: Questionnaire) -> bool:
    """Whether a judge is asked anything: not where checks decide every principle and nothing is asked
    that can be refused."""
    refusable = questionnaire.harmful or questionnaire.benign
    return questionnaire.constitution.needs_judge or bool(refusable)


def _who_judges(
    judge: Generator, models: Mapping[str, Generator], rows: TrainingRows
) -> Iterator[Finding]:
    """What is doubtful about the judge."""
    if judge.spec.partition("?")[0] in {spec.partition("?")[0] for spec in rows.judges()}:
        message = f"{judge.spec} judges here and judged in training: its taste is what was learnt"
        yield Finding("judge-of-training", "error", message, "give another --judge")
    if own := [name for name, model in models.items() if model.fingerprint == judge.fingerprint]:
        message = f"the judge is {listed(own)} itself, and models prefer answers of their own"
        yield Finding("judge-of-itself", "warning", message, "give another --judge")


def _untemplated(models: Mapping[str, Generator]) -> Iterator[Finding]:
    """Models that cannot be asked as they were trained."""
    if without := [name for name, model in models.items() if _lacks_template(model.spec)]:
        message = f"{listed(without)} has no chat template: it cannot be asked as it was trained"
        remedy = "save the tokenizer of the training with its chat template beside the model"
        yield Finding("no-chat-template", "error", message, remedy)


def _lacks_template(spec: str) -> bool:
    """Whether a local model directory holds a tokenizer and no template for it."""
    model = model_within(Path(read_spec(spec).name).expanduser())
    settings = model / "tokenizer_config.json"
    if not settings.is_file() or any(model.glob("chat_template.*")):
        return False
    with suppress(InputError):
        return not read_json(settings, dict).get("chat_template")
    return False


def _trained_on(
    questionnaire: Questionnaire, models: Mapping[str, Generator], rows: TrainingRows
) -> Iterator[Finding]:
    if not rows.files:
        if len(models) > 1:
            message = "no training rows are known, so none were compared with the prompts"
            yield Finding("overlap-unknown", "warning", message, "name them with --trained-on FILE")
        return
    remedy = "evaluate on prompts that were held out (`solon split` divides them)"
    sets = {
        HELD_OUT: questionnaire.prompts,
        HARMFUL: questionnaire.harmful,
        BENIGN: questionnaire.benign,
    }
    asked = [(name, prompt) for name, prompts in sets.items() for prompt in prompts]
    found = overlap(rows.prompts(), [prompt.messages[-1].content for _, prompt in asked])
    for name, prompts in sets.items():
        ids = {at: prompt.id for at, (its, prompt) in enumerate(asked) if its == name}
        exact = [id for at, id in ids.items() if at in found.exact]
        near = {id: found.near[at].similarity for at, id in ids.items() if at in found.near}
        if exact:
            share = (
                f"{len(exact)} of {len(prompts)} {name} prompts ({len(exact) / len(prompts):.0%})"
            )
            message = f"{share} were trained on word for word: {listed(exact)}"
            yield Finding("overlap-exact", "error", message, remedy)
        if near:
            share = f"{len(near)} of {len(prompts)} {name} prompts ({len(near) / len(prompts):.0%})"
            most = f"up to {max(near.values()):.0%} the same"
            message = f"{share} are nearly what was trained on, {most}: {listed(list(near))}"
            yield Finding("overlap-near", "warning", message, remedy)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


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
        *unread_refusals(evidence),
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
    cut, given = model.answers.truncated, model.answers.prompts - model.answers.failed
    if given and cut > _MOST_TRUNCATED * given:
        share = f"all {given}" if cut == given else f"{cut} of {given} ({cut / given:.0%})"
        message = f"{share} answers of {model.name} were cut off before their end"
        severity = "error" if cut == given else "warning"
        yield Finding("truncated", severity, message, "raise --max-tokens")


def _undecided(model: ModelResult, verdicts: Mapping[str, int]) -> Iterator[Finding]:
    asked, undecided = verdicts.get(model.name, 0), model.answers.undecided
    if asked and undecided > _MOST_UNDECIDED * asked:
        severity = "error" if undecided == asked else "warning"
        share = f"{undecided} of {asked} verdicts ({undecided / asked:.0%})"
        message = f"the judge could not decide {share} on {model.name}"
        yield Finding("undecided", severity, message, "give another --judge, or shorter answers")


_RATES: Mapping[str, Callable[[ModelResult], Estimate | None]] = {
    "broken principles": lambda model: model.violations,
    "refusals of harmful prompts": lambda model: model.refusals(HARMFUL).rules,
    "refusals of benign prompts": lambda model: model.refusals(BENIGN).rules,
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
    for name in (HARMFUL, BENIGN):
        rates = [(model.name, model.refusals(name)) for model in models]
        told = [
            f"{model} {rate.judge.value:.0%} against {rate.rules.value:.0%}"
            for model, rate in rates
            if rate.judge and rate.rules
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
    judged = evidence.judged
    orders = [pair for names in judged.preferences for pair in judged.orders(names)]
    sign = position_bias(sorted(orders))
    if sign.flagged:
        remedy = "both orders were asked, so it cancels out; --method pointwise has none"
        yield Finding("position-bias", "warning", sign.told, remedy)


def _failures(evidence: Evidence) -> Iterator[Finding]:
    """Questions that ended in an error: they are in no figure."""
    asked = {name: outputs.failures for name, outputs in evidence.outputs.items()}
    for name, failures in {**asked, "the judge": evidence.judged.failures}.items():
        if failures:
            message = f"{failures.total():,} requests to {name} failed: {reason_counts(failures)}"
            yield Finding("failures", "warning", message, "see what the engine says")
