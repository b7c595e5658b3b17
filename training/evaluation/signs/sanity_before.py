"""Reasons to doubt an evaluation that are found before anything is asked: by whom, whom, what.

An "error" means that figures are wrong, a "warning" that they say less than they seem to.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from constitution.problems import InputError
from constitution.reading import read_json
from engine.generators.base import Generator
from engine.generators.spec import read_spec
from training.evaluation.questions.questionnaire import BENIGN, HARMFUL, HELD_OUT, Questionnaire
from training.evaluation.results import Finding
from training.evaluation.signs.overlap import Overlap, overlap
from training.evaluation.signs.provenance import TrainingRows
from training.stats.intervals import wilson_interval

__all__ = ["FEWEST", "check_before", "listed"]

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
        *_judge_of_training(judge, rows),
        *_judge_of_itself(judge, models),
        *_no_chat_template(models),
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
        message = f"the judge is {listed(own)} itself, and models prefer answers of their own"
        yield Finding("judge-of-itself", "warning", message, "give another --judge")


def _no_chat_template(models: Mapping[str, Generator]) -> Iterator[Finding]:
    without = [name for name, model in models.items() if _lacks_template(model.spec)]
    if without:
        message = f"{listed(without)} has no chat template: it cannot be asked as it was trained"
        remedy = "save the tokenizer of the training with its chat template beside the model"
        yield Finding("no-chat-template", "error", message, remedy)


def _lacks_template(spec: str) -> bool:
    """Whether a local model directory holds a tokenizer and no template for it."""
    model = Path(read_spec(spec).name)
    settings = model / "tokenizer_config.json"
    if not settings.is_file() or any(model.glob("chat_template.*")):
        return False
    try:
        return not read_json(settings, dict).get("chat_template")
    except InputError:
        return False


def _trained_on(
    questionnaire: Questionnaire, models: Mapping[str, Generator], rows: TrainingRows
) -> Iterator[Finding]:
    if not rows.files:
        if len(models) > 1:
            message = "no training rows are known, so none were compared with the prompts"
            yield Finding("overlap-unknown", "warning", message, "name them with --trained-on FILE")
        return
    sets = {
        HELD_OUT: questionnaire.prompts,
        HARMFUL: questionnaire.harmful,
        BENIGN: questionnaire.benign,
    }
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
        message = f"{len(exact)} {of} ({share}) were trained on word for word: {listed(exact)}"
        yield Finding("overlap-exact", "error", message, remedy)
    if near:
        share = f"{len(near) / count:.0%}"
        most = max(found.near[place].similarity for place in ids if place in found.near)
        message = (
            f"{len(near)} {of} ({share}) are nearly what was trained on, up to {most:.0%} the "
            f"same: {listed(near)}"
        )
        yield Finding("overlap-near", "warning", message, remedy)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
