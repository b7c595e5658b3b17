"""What `solon judge` prints: figures with their intervals, and a reliability curve in bars."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from engine.report.wording import decimal, percent, reason_counts
from scripts.commands.terminal import figures_table, interval
from training.evaluation.judges.calibration import JudgeCalibration
from training.evaluation.judges.comparisons import ComparisonFigures, Comparisons
from training.evaluation.judges.labelled_answers import LabelledAnswers

__all__ = ["print_calibration", "print_comparisons", "print_fit"]

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
        lines.append(f"Spearman       {found.rank_correlation:.2f} with the graded labels")
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
