"""What `solon judge` does with its options: read and check all of them, fit or ask, report."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import TypeAdapter

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem, all_problems
from constitution.schema import Constitution
from engine.generators.base import Generator, Sampling
from engine.generators.spec import open_generator
from engine.judging.records import Method
from engine.settings import RoleModel
from engine.storage.atomic import write_json_atomic
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from scripts.commands.judge_table import print_calibration, print_comparisons, print_fit
from scripts.commands.terminal import error_console, output_console, run_interruptibly
from training.data.readers import is_comparison
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
from training.evaluation.judges.comparisons import (
    HELPFUL_HONEST_HARMLESS,
    ComparisonFigures,
    Comparisons,
    HowAsked,
    compare_judge,
    read_comparison_files,
)
from training.evaluation.judges.labelled_answers import (
    LabelColumns,
    LabelledAnswers,
    first_row,
    read_labelled_answers,
)
from training.evaluation.page.reliability_curve import reliability_svg

__all__ = ["AskedOf", "LabelFiles", "calibrate_into", "fit_into"]

_EVERY = 50
"""Questions between two lines of progress."""
_REASONING = Sampling(max_tokens=256, temperature=0.0)
"""How a judge writes its chain of thought: a figure should not depend on luck."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LabelFiles:
    """What people labelled, and which of its columns hold what."""

    files: list[str]
    prompt: str
    answer: str
    labels: tuple[str, ...]
    threshold: float
    limit: int | None
    group: str | None = None

    @property
    def are_comparisons(self) -> bool:
        """Whether the first file says which of two replies is better."""
        try:
            row = first_row(self.files[0])
        except InputError:
            return False  # reading all of it says what is wrong, with whatever else is
        return is_comparison(row) and self.answer not in row

    def answers(self) -> LabelledAnswers:
        """Raises InputError as `read_labelled_answers` does."""
        columns = LabelColumns(self.prompt, self.answer, self.labels, self.group)
        return read_labelled_answers(
            self.files, columns, threshold=self.threshold, limit=self.limit
        )


@dataclass(frozen=True, slots=True)
class AskedOf:
    """A judge and, if it is a language model, what it is asked. `method`, `ensemble` and
    `chain_of_thought` are for comparisons, `question` for labelled answers."""

    spec: str
    constitution: str | None
    principle: str | None
    question: str | None
    chat_template: Path | None
    method: Method | None = None
    ensemble: int | None = None
    chain_of_thought: bool = False
    seed: int = 0

    def open(self) -> Classifier | Generator:
        """Raises InputError for a spec that names no judge."""
        if is_classifier(self.spec):
            return open_classifier(self.spec)
        return open_generator(self.spec, chat_template=self.chat_template)

    def ask(self) -> tuple[Question | None, str]:
        """The question about one answer, None for a classifier, and its wording."""
        only_for_comparisons = {
            "--method": self.method, "--ensemble": self.ensemble,
            "--chain-of-thought": self.chain_of_thought,
        }  # fmt: skip
        _refuse(only_for_comparisons, "comparisons (chosen and rejected), and these are answers")
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
        rules = _only_principle(load_for_judging(str(self.constitution)), self.principle)
        if len(rules.principles) > 1:
            known = ", ".join(p.id for p in rules.principles)
            what = f"{rules.name} has {len(rules.principles)}, and labels are about one"
            raise InputError(Problem("--principle", what, f"name one of {known}"))
        principle = rules.principles[0]
        return whether_it_breaks(rules, principle), f"Does it break {principle.id}?"

    def compare(self) -> HowAsked:
        """How it is asked about comparisons. Raises InputError for what cannot be asked."""
        _refuse({"--question": self.question}, "labelled answers, and these are comparisons")
        if is_classifier(self.spec):
            what = "a classifier reads one answer, and these are comparisons"
            raise InputError(Problem("--judge", what, "name a language model"))
        method = self.method or "pointwise"
        if self.chain_of_thought and method != "pairwise":
            what = f"does nothing with --method {method}"
            raise InputError(Problem("--chain-of-thought", what, "add --method pairwise"))
        rules = HELPFUL_HONEST_HARMLESS
        if self.constitution:
            rules = load_for_judging(self.constitution)
        rules = _only_principle(rules, self.principle)
        return HowAsked(rules, method, self.ensemble or 1, self.chain_of_thought, self.seed)


def fit_into(given: LabelFiles, out: Path, name: str, *, overwrite: bool) -> None:
    """Fit, write the classifier, print what cross-validation found."""
    from training.evaluation.judges.classifier_fit import fit_classifier, out_of_fold

    if out.exists() and not overwrite:
        raise InputError(Problem(str(out), "is there already", "name another, or add --overwrite"))
    data = given.answers()
    found = calibrate(data, [Opinion(p) for p in out_of_fold(data)])
    out.parent.mkdir(parents=True, exist_ok=True)
    fit_classifier(name, data).write(out, _saved(given, data, found))
    print_fit(data, found, str(out), output_console())


def calibrate_into(given: LabelFiles, asked: AskedOf, out: Path | None) -> None:
    """Ask, count and print; with `out` keep the answers and write the figures. Exits 1 if the judge
    answered nothing."""
    run = _calibrate_on_comparisons if given.are_comparisons else _calibrate_on_answers
    if not run(given, asked, out):
        raise typer.Exit(1)


def _calibrate_on_answers(given: LabelFiles, asked: AskedOf, out: Path | None) -> bool:
    data, judge, (question, wording) = all_problems(given.answers, asked.open, asked.ask)
    on_progress = _progress(asked.spec, len(data.answers), "answers")
    work = _opinions(data, judge, question, out, on_progress)
    found = calibrate(data, _finished(work))
    print_calibration(data, found, output_console())
    _write(out, {"judge": asked.spec, "asked": wording, **_saved(given, data, found)})
    if out and found.curve:
        curve = reliability_svg(found.curve, asked.spec)
        (out / "calibration.svg").write_text(curve, encoding="utf-8")
    return found.overall.answers > 0


def _calibrate_on_comparisons(given: LabelFiles, asked: AskedOf, out: Path | None) -> bool:
    data, judge, how = all_problems(
        lambda: read_comparison_files(given.files, given.limit), asked.open, asked.compare
    )
    on_progress = _progress(asked.spec, len(data.pairs), "comparisons")
    found = _finished(_compared(data, judge, how, out, on_progress))
    print_comparisons(data, found, output_console())
    saved = {
        "judge": asked.spec,
        "method": how.method,
        "constitution": how.constitution.content_hash,
        "files": given.files,
        "dropped": dict(data.dropped),
        **TypeAdapter(ComparisonFigures).dump_python(found, mode="json"),
    }
    _write(out, saved)
    return found.decided > 0


def _progress(judge: str, count: int, things: str) -> Callable[[int], None]:
    console = error_console()
    console.print(f"{judge} judges {count:,} {things}")

    def on_progress(done: int) -> None:
        if done % _EVERY == 0 and done < count:
            console.print(f"{done:,}/{count:,} {things}")

    return on_progress


def _finished(work: Coroutine[Any, Any, Result]) -> Result:
    return run_interruptibly(work, lambda: error_console().print("stopping"))


async def _opinions(
    data: LabelledAnswers,
    judge: Any,
    question: Question | None,
    out: Path | None,
    on_progress: Callable[[int], None],
) -> list[Opinion]:
    if question is None:
        return await ask_classifier(data, judge)
    async with _started(judge, out) as started:
        return await ask_judge(data, started, question, on_progress)


async def _compared(
    data: Comparisons,
    judge: Any,
    how: HowAsked,
    out: Path | None,
    on_progress: Callable[[int], None],
) -> ComparisonFigures:
    async with _started(judge, out) as started:
        return await compare_judge(data.pairs, RoleModel(started, _REASONING), how, on_progress)


@asynccontextmanager
async def _started(judge: Generator, out: Path | None) -> AsyncIterator[Generator]:
    """`judge`, started, and closed in the end; with `out` behind `out/completions.sqlite`."""
    with ExitStack() as stack:
        if out:
            out.mkdir(parents=True, exist_ok=True)
            cache = stack.enter_context(CompletionCache(out / "completions.sqlite"))
            judge = CachedGenerator(judge, cache)
        await judge.start()
        try:
            yield judge
        finally:
            await judge.close()


def _only_principle(rules: Constitution, principle: str | None) -> Constitution:
    """The constitution, cut down to one principle if one is named. Raises InputError."""
    if principle is None:
        return rules
    try:
        chosen = rules.principle(principle)
    except KeyError as error:
        known = ", ".join(p.id for p in rules.principles)
        what = f"{rules.name} has no principle `{principle}`"
        raise InputError(Problem("--principle", what, f"it has: {known}")) from error
    return rules.model_copy(update={"principles": (chosen,)})


def _refuse(options: dict[str, Any], told: str) -> None:
    problems = [
        Problem(name, f"is for {told}", "leave it out") for name, value in options.items() if value
    ]
    if problems:
        raise InputError(problems)


def _write(out: Path | None, figures: dict[str, Any]) -> None:
    if out:
        out.mkdir(parents=True, exist_ok=True)
        write_json_atomic(out / "calibration.json", figures)


def _saved(given: LabelFiles, data: LabelledAnswers, found: JudgeCalibration) -> dict[str, Any]:
    return {
        "files": given.files,
        "label_threshold": given.threshold,
        "prompts": len({one.prompt_key for one in data.answers}),
        "dropped": dict(data.dropped),
        **TypeAdapter(JudgeCalibration).dump_python(found, mode="json"),
    }
