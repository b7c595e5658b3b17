"""What `solon evaluate` does with its options: read and check all of them, ask, judge, show."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console

from constitution.problems import InputError, Problem
from engine.generators.base import Generator, Sampling
from engine.storage.disk import write_page
from scripts.commands.evaluate_inputs import Asked, Judges, Sets, open_models, read_imported
from scripts.commands.evaluate_table import print_results
from scripts.commands.stage_progress import StageProgress
from scripts.commands.terminal import all_problems, error_console, run_interruptibly
from training.evaluation.evaluate import evaluate_models
from training.evaluation.evaluation import Evaluation
from training.evaluation.gates import check_gates, read_gates
from training.evaluation.harness.harness import check_harness
from training.evaluation.page import evaluation_page
from training.evaluation.results import RESULTS, read_results, write_results
from training.evaluation.signs.provenance import training_rows
from training.evaluation.signs.sanity import check_before

__all__ = ["evaluate_into"]

EXIT_GATE = 3


def evaluate_into(
    out: Path,
    asked: Asked,
    sets: Sets,
    named: Sequence[str],
    judges: Judges,
    sampling: Sampling,
    trained_on: Sequence[Path],
    gate_file: Path | None,
    imported: Sequence[Path],
    *,
    overwrite: bool,
) -> None:
    """Evaluate into `out`. Exits 3 when a gate is broken, 130 if interrupted; raises InputError."""
    models, evaluation, judging, gates, reports = all_problems(
        lambda: open_models(named),
        lambda: sets.opened(asked, sampling),
        judges.opened,
        lambda: read_gates(gate_file, named) if gate_file else (),
        lambda: read_imported(imported),
    )
    if not overwrite:
        _check_directory(out, evaluation.identity())
    _check_tasks_by_name(evaluation, models, out)
    console = error_console()
    rows = training_rows([generator.spec for generator in models.values()], trained_on)
    known = check_before(evaluation, models, judging.judge, rows)
    with StageProgress(console) as progress:
        work = evaluate_models(evaluation, models, judging, out, known=known, on_progress=progress)
        results = run_interruptibly(
            work, lambda: console.print("stopping: what was answered and judged is kept")
        )
    results = replace(results, asked=evaluation.identity(), imported=reports)
    results = replace(results, gates=check_gates(gates, results))
    write_results(results, out)
    page = out / "evaluation.html"
    write_page(page, evaluation_page(results))
    print_results(results, Console())
    typer.echo(page)
    if not all(gate.kept for gate in results.gates):
        raise typer.Exit(EXIT_GATE)


def _check_directory(out: Path, asked: dict[str, str]) -> None:
    """Raise InputError where `out` holds another evaluation, saying what differs.

    Other models, gates and further sets of questions are no other evaluation: they are added.
    """
    if not (out / RESULTS).exists():
        return
    before = read_results(out).asked
    other = [name for name, value in asked.items() if before.get(name) != value]
    if other:
        what = f"holds an evaluation with other {', '.join(other)}"
        remedy = "name another --out, or add --overwrite (what was generated is kept)"
        raise InputError(Problem(str(out), what, remedy))


def _check_tasks_by_name(
    evaluation: Evaluation, models: Mapping[str, Generator], out: Path
) -> None:
    if evaluation.harness:
        others = [task.name for task in evaluation.tasks]
        check_harness(evaluation.harness, models, out, others)
