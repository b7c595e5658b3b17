"""What `solon judge` does with its options: read and check all of them, fit or ask, report."""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from constitution.problems import all_problems
from engine.report.wording import decimal, percent, reason_counts
from engine.runs.config import REASONING
from engine.settings import RoleModel
from engine.storage.atomic import check_file, write_json_atomic
from engine.storage.cached_generator import remembering
from scripts.commands.judge_config import CalibrateConfig, FitConfig, LabelSettings
from scripts.commands.terminal import (
    error_console,
    figures_table,
    interval,
    output_console,
    run_interruptibly,
)
from training.evaluation.judges.calibration import (
    JudgeCalibration,
    Opinion,
    ask_classifier,
    ask_judge,
    calibrate,
)
from training.evaluation.judges.comparisons import (
    ComparisonFigures,
    Comparisons,
    compare_judge,
    read_comparison_files,
)
from training.evaluation.judges.labelled_answers import (
    LabelledAnswers,
)
from training.evaluation.page.charts import reliability_svg

__all__ = ["calibrate_into", "fit_into", "print_calibration", "print_comparisons", "print_fit"]

_EVERY = 50
"""Questions between two lines of progress."""
Result = TypeVar("Result")


def fit_into(files: Sequence[str], config: FitConfig, *, overwrite: bool) -> None:
    """Fit, write the classifier, print what cross-validation found."""
    from training.evaluation.judges.classifier_fit import fit_classifier, out_of_fold

    out = Path(config.out)
    check_file(out, overwrite, *map(Path, files))
    data = config.answers(files)
    found = calibrate(data, [Opinion(p) for p in out_of_fold(data)])
    out.parent.mkdir(parents=True, exist_ok=True)
    report = _saved(files, config, data, found)
    fit_classifier(config.name or out.stem, data).write(out, report)
    print_fit(data, found, str(out), output_console())


def calibrate_into(files: Sequence[str], config: CalibrateConfig) -> None:
    """Ask, count and print; with `out` keep the answers and write the figures. Exits 1 if the judge
    answered nothing."""
    on_pairs = config.are_comparisons(files)
    run = _calibrate_on_comparisons if on_pairs else _calibrate_on_answers
    if not run(files, config, Path(config.out) if config.out else None):
        raise typer.Exit(1)


def _calibrate_on_answers(files: Sequence[str], config: CalibrateConfig, out: Path | None) -> bool:
    data, judge, (question, wording) = all_problems(
        lambda: config.answers(files, config.by), config.open, config.ask
    )
    on_progress = _progress(config.judge, len(data.answers), "answers")

    async def opinions() -> list[Opinion]:
        if question is None:
            return await ask_classifier(data, judge)
        async with remembering(judge, _answers_file(out)) as asked:
            return await ask_judge(data, asked, question, on_progress)

    found = calibrate(data, _finished(opinions()))
    print_calibration(data, found, output_console())
    if out:
        out.mkdir(parents=True, exist_ok=True)
        saved = {"judge": config.judge, "asked": wording, **_saved(files, config, data, found)}
        write_json_atomic(out / "calibration.json", saved)
        if found.curve:
            curve = reliability_svg(found.curve, config.judge)
            (out / "calibration.svg").write_text(curve, encoding="utf-8")
    return found.overall.answers > 0


def _calibrate_on_comparisons(
    files: Sequence[str], config: CalibrateConfig, out: Path | None
) -> bool:
    data, judge, how = all_problems(
        lambda: read_comparison_files(files, config.limit), config.open, config.compare
    )
    on_progress = _progress(config.judge, len(data.pairs), "comparisons")

    async def compared() -> ComparisonFigures:
        async with remembering(judge, _answers_file(out)) as asked:
            return await compare_judge(data.pairs, RoleModel(asked, REASONING), how, on_progress)

    found = _finished(compared())
    print_comparisons(data, found, output_console())
    if out:
        saved = {
            "judge": config.judge,
            "method": how.method,
            "constitution": how.constitution.content_hash,
            "files": files,
            "dropped": dict(data.dropped),
            **TypeAdapter(ComparisonFigures).dump_python(found, mode="json"),
        }
        write_json_atomic(out / "calibration.json", saved)
    return found.decided > 0


def _answers_file(out: Path | None) -> Path | None:
    """Where a language model's answers are kept; None in memory alone."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
    return out and out / "completions.sqlite"


def _progress(judge: str, count: int, things: str) -> Callable[[int], None]:
    console = error_console()
    console.print(f"{judge} judges {count:,} {things}")

    def on_progress(done: int) -> None:
        if done % _EVERY == 0 and done < count:
            console.print(f"{done:,}/{count:,} {things}")

    return on_progress


def _finished(work: Coroutine[Any, Any, Result]) -> Result:
    return run_interruptibly(work, lambda: error_console().print("stopping"))


def _saved(
    files: Sequence[str], config: LabelSettings, data: LabelledAnswers, found: JudgeCalibration
) -> dict[str, Any]:
    return {
        "files": files,
        "label_threshold": config.threshold,
        "prompts": len({one.prompt_key for one in data.answers}),
        "dropped": dict(data.dropped),
        **TypeAdapter(JudgeCalibration).dump_python(found, mode="json"),
    }


_BAR = 20
_SENTENCES = {
    "better": "The judge is better than chance: the whole interval is above 50 %.",
    "worse": "The judge is worse than chance: it prefers the worse reply more often.",
    "unclear": "The judge cannot be told from chance: the interval holds 50 %.",
}


def print_fit(data: LabelledAnswers, found: JudgeCalibration, file: str, console: Console) -> None:
    """What cross-validation says of a fitted classifier."""
    console.print(f"{file}: fitted to all answers")
    console.print("measured by five-fold cross-validation, no prompt on both sides:")
    print_calibration(data, found, console)


def print_calibration(data: LabelledAnswers, found: JudgeCalibration, console: Console) -> None:
    """A line for each figure, a table of the curve, and one of the groups."""
    for line in _lines(data, found):
        console.print(line)
    if found.curve:
        console.print(_curve(found))
    if found.groups:
        console.print(_groups(found))


def print_comparisons(data: Comparisons, found: ComparisonFigures, console: Console) -> None:
    """A line for each figure, and whether the judge is better than chance."""
    low, high = found.interval
    console.print(
        f"accuracy       {percent(found.accuracy)} of {found.decided:,} comparisons decided "
        f"(95 % interval {low:.0%} to {high:.0%})"
    )
    if found.neither:
        console.print(f"               {found.neither:,} with neither reply preferred, each half")
    if found.auc is not None:
        console.print(f"AUC            {found.auc:.2f} (0.5 is chance, 1 perfect)")
    if found.position_bias is not None:
        bias = f"{found.position_bias:+.2f}"
        console.print(f"position bias  {bias} (0 is none, 1 always the reply shown first)")
    console.print(f"undecided      {_counted(found.undecided)}")
    console.print(f"rows dropped   {_counted(data.dropped)}")
    console.print(
        _SENTENCES[found.against_chance] if found.decided else "The judge gave no answer."
    )


def _counted(reasons: Counter[str]) -> str:
    """How many, and why: `3 (tie 2, unanswered 1)`."""
    return f"{reasons.total():,}{f' ({reason_counts(reasons)})' if reasons else ''}"


def _lines(data: LabelledAnswers, found: JudgeCalibration) -> list[str]:
    of, best = found.overall, found.best_threshold
    prompts = len({one.prompt_key for one in data.answers})
    lines = [
        f"answers        {len(data.answers):,} to {prompts:,} prompts, {percent(data.base_rate)} "
        f"labelled true; the judge says yes to {percent(of.said if of.answers else None)}",
        f"accuracy       {interval(of.accuracy)}",
        f"               of people's yes {interval(of.found)}; of their no {interval(of.spared)}",
        f"Cohen's kappa  {interval(of.kappa, decimal)} (0 is chance, 1 perfect)",
        f"AUC            {interval(of.auc, decimal)} (0.5 is chance, 1 perfect)",
    ]
    if found.rank_correlation is not None:
        lines.append(
            f"Spearman       {interval(found.rank_correlation, decimal)} with the graded labels"
        )
    if found.curve:
        lines.append(
            f"calibration    expected error {found.curve.error:.3f}, Brier {found.curve.brier:.3f}"
        )
    if best:
        lines.append(
            f"best cut       {best.value:.3f}: accuracy {percent(best.accuracy)}, kappa "
            f"{best.kappa:.2f} (chosen on these)"
        )
    return [
        *lines,
        f"undecided      {_counted(found.undecided)}",
        f"rows dropped   {_counted(data.dropped)}",
    ]


def _curve(found: JudgeCalibration) -> Table:
    table = figures_table("judge says", "answers", "people say yes", "95 % interval", "")
    for one in found.curve.bins if found.curve else ():
        low, high = one.interval
        bar = "█" * round(one.observed * _BAR)
        table.add_row(
            f"{one.predicted:.0%}",
            f"{one.count:,}",
            f"{one.observed:.0%}",
            f"{low:.0%} to {high:.0%}",
            bar,
        )
    return table


def _groups(found: JudgeCalibration) -> Table:
    table = figures_table("group", "answers", "people yes", "judge yes", "accuracy", "kappa", "AUC")
    for name, of in found.groups.items():
        table.add_row(
            name or "(none)",
            f"{of.answers:,}",
            percent(of.base_rate),
            percent(of.said),
            interval(of.accuracy),
            *(decimal(one.value if one else None) for one in (of.kappa, of.auc)),
        )
    return table
