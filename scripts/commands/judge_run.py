"""What `solon judge` does with its options: read and check all of them, fit or ask, tell."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import TypeAdapter

from constitution.problems import InputError, Problem, all_problems
from engine.generators.base import Generator
from engine.generators.spec import open_generator
from engine.storage.atomic import write_json_atomic
from scripts.commands.judge_table import print_calibration, print_fit
from scripts.commands.kept_judge import only_principle, started_judge
from scripts.commands.terminal import (
    error_console,
    output_console,
    run_interruptibly,
)
from training.evaluation.judges.calibration import (
    JudgeCalibration,
    Opinion,
    Question,
    ask_classifier,
    ask_judge,
    calibrate,
    whether,
    whether_it_breaks,
)
from training.evaluation.judges.classifiers import Classifier, is_classifier, open_classifier
from training.evaluation.judges.labelled_answers import (
    LabelColumns,
    LabelledAnswers,
    read_labelled_answers,
)
from training.evaluation.page.reliability_curve import reliability_svg

__all__ = ["AskedOf", "LabelFiles", "calibrate_into", "fit_into"]

_EVERY = 50
"""Answers between two lines of progress."""


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """Which answers, and which of their columns hold what."""

    files: list[str]
    prompt: str
    answer: str
    labels: tuple[str, ...]
    threshold: float
    limit: int | None
    group: str | None = None

    def read(self) -> LabelledAnswers:
        """Raises InputError as `read_labelled_answers` does."""
        columns = LabelColumns(self.prompt, self.answer, self.labels, self.group)
        return read_labelled_answers(
            self.files, columns, threshold=self.threshold, limit=self.limit
        )


@dataclass(frozen=True, slots=True)
class AskedOf:
    """A judge and, if it is a language model, what it is asked."""

    spec: str
    constitution: str | None
    principle: str | None
    question: str | None
    chat_template: Path | None

    def open(self) -> Classifier | Generator:
        """Raises InputError when the spec is none."""
        if is_classifier(self.spec):
            return open_classifier(self.spec)
        return open_generator(self.spec, chat_template=self.chat_template)

    def ask(self) -> tuple[Question | None, str]:
        """The question, None for a classifier, and how to tell it."""
        if is_classifier(self.spec):
            return None, ""
        if (self.constitution is None) == (self.question is None):
            what = (
                "asks a language model nothing" if self.question is None else "asks it two things"
            )
            remedy = "give --question TEXT, or --constitution FILE --principle ID"
            raise InputError(Problem("--judge", what, remedy))
        if self.question is not None:
            return whether(self.question), self.question
        rules = only_principle(str(self.constitution), self.principle)
        if len(rules.principles) > 1:
            known = ", ".join(p.id for p in rules.principles)
            what = f"{rules.name} has {len(rules.principles)}, and labels are about one"
            raise InputError(Problem("--principle", what, f"name one of {known}"))
        principle = rules.principles[0]
        return whether_it_breaks(rules, principle), f"Does it break {principle.id}?"


def fit_into(given: LabelFiles, out: Path, name: str, *, overwrite: bool) -> None:
    """Fit, write the classifier, print what cross-validation found."""
    from training.evaluation.judges.classifier_fit import fit_classifier, out_of_fold

    if out.exists() and not overwrite:
        raise InputError(Problem(str(out), "is there already", "name another, or add --overwrite"))
    data = given.read()
    found = calibrate(data, [Opinion(p) for p in out_of_fold(data)])
    told = _told(given, data, found)
    out.parent.mkdir(parents=True, exist_ok=True)
    fit_classifier(name, data).write(out, told)
    print_fit(data, found, str(out), output_console())


def calibrate_into(given: LabelFiles, asked: AskedOf, out: Path | None) -> None:
    """Ask, count and print; with `out` write what was found. Exits 1 if no answer was judged."""
    data, judge, (question, wording) = all_problems(given.read, asked.open, asked.ask)
    console = error_console()

    def on_progress(done: int) -> None:
        if done % _EVERY == 0 and done < len(data.answers):
            console.print(f"{done:,}/{len(data.answers):,} answers")

    console.print(f"{asked.spec} judges {len(data.answers):,} answers")
    work = _opinions(data, judge, question, out, on_progress)
    found = calibrate(data, run_interruptibly(work, lambda: console.print("stopping")))
    print_calibration(data, found, output_console())
    if out:
        out.mkdir(parents=True, exist_ok=True)
        told = {"judge": asked.spec, "asked": wording, **_told(given, data, found)}
        write_json_atomic(out / "calibration.json", told)
        if found.curve:
            curve = reliability_svg(found.curve, asked.spec)
            (out / "calibration.svg").write_text(curve, encoding="utf-8")
    if not found.overall.answers:
        raise typer.Exit(1)


async def _opinions(
    data: LabelledAnswers,
    judge: Any,
    question: Question | None,
    out: Path | None,
    on_progress: Any,
) -> list[Opinion]:
    if question is None:
        return await ask_classifier(data, judge)
    async with started_judge(judge, out) as started:
        return await ask_judge(data, started, question, on_progress)


def _told(given: LabelFiles, data: LabelledAnswers, found: JudgeCalibration) -> dict[str, Any]:
    return {
        "files": given.files,
        "label_threshold": given.threshold,
        "prompts": len({one.prompt_key for one in data.answers}),
        "dropped": dict(data.dropped),
        **TypeAdapter(JudgeCalibration).dump_python(found, mode="json"),
    }
