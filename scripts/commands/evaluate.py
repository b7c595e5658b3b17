"""`solon evaluate`: what training did, as a table and as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scripts.commands import options as o
from scripts.commands.ci_options import Annotations, Junit, check_writable, write_cases
from scripts.commands.permission_options import AllowPythonChecks
from scripts.commands.shard_options import ShardOption, open_place, place_of

if TYPE_CHECKING:
    from engine.prompts.shard import Shard
    from engine.report.junit import Case
    from engine.runs.shards import RunPlace
    from training.evaluation.config import EvaluateConfig
    from training.evaluation.results import Gate, Results

__all__ = ["evaluate"]

EXIT_GATE = 3
_NAMES = {
    "models": ("--model", "--models", "-m"),
    "classifiers": ("--classifier",),
    "evaluate.tasks": ("--task",),
    "evaluate.attacks": ("--attack",),
    "evaluate.suites": ("--suite",),
    "imported": ("--import",),
    "gates": ("--gate",),
    "curves": ("--curve",),
}


@o.configured("training.evaluation.config:EvaluateConfig", _NAMES)
def evaluate(
    config: "EvaluateConfig",
    overwrite: o.Overwrite = False,
    shard: ShardOption = None,
    junit: Junit = None,
    annotate: Annotations = False,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Compare checkpoints on held-out prompts: a table, and a page.

    Each answers the same prompts, and a judge reads the answers. The same command resumes. Exits 3
    when a gate is broken.
    """
    from engine.report.tracking import check_tracker
    from scripts.commands.evaluate_table import StageProgress, print_results
    from scripts.commands.terminal import error_console, output_console, run_interruptibly
    from training.evaluation import EvaluationRun

    check_tracker(config.report_to)
    check_writable(junit)
    place = place_of(config, shard)
    if config.workers.ray is not None:
        from scripts.commands.ray_run import evaluate_on_ray

        if code := evaluate_on_ray(config, overwrite=overwrite):
            raise typer.Exit(code)
        overwrite = False
    if place.shard is not None:
        _evaluate_shard(config, place, place.shard, overwrite=overwrite)
        return
    run = EvaluationRun.from_config(config, overwrite=overwrite)
    console = error_console()
    with StageProgress(console) as progress:
        results = run_interruptibly(
            run.execute(progress),
            lambda: console.print("stopping: what was answered and judged is kept"),
        )
    print_results(results, output_console())
    typer.echo(run.page)
    write_cases("gates", _cases(results.gates), junit, annotated=annotate)
    _write_elsewhere(config, results, run.out)
    if not all(gate.kept for gate in results.gates):
        raise typer.Exit(EXIT_GATE)


def _write_elsewhere(config: "EvaluateConfig", results: "Results", out: Path) -> None:
    """To the tracker, Inspect's logs and the risk report, as far as they are asked for."""
    from engine.report.tracking import track
    from training.evaluation.recorded.inspect_logs import write_inspect_logs
    from training.evaluation.risk import write_risk_report
    from training.evaluation.tracked import tracked_results

    if config.report_to != "none":
        track(config.report_to, tracked_results(results, out), out)
    if config.inspect_logs:
        for path in write_inspect_logs(results, Path(config.inspect_logs)):
            typer.echo(path)
    if config.report:
        write_risk_report(results, Path(config.report))
        typer.echo(config.report)


def _cases(gates: "Sequence[Gate]") -> "list[Case]":
    """A gate without a figure failed too: what was not measured is not kept."""
    from engine.report.junit import Case, CaseState

    cases = []
    for gate in gates:
        measured = "not measured" if gate.measured is None else f"{gate.measured:.3f}"
        state = CaseState.PASSED if gate.kept else CaseState.FAILED
        told = "" if gate.kept else f"{gate.metric} of {gate.model} is {measured}, not {gate.bound}"
        cases.append(Case(gate.model, f"{gate.metric} {gate.bound}", state, told))
    return cases


def _evaluate_shard(
    config: "EvaluateConfig", place: "RunPlace", shard: "Shard", *, overwrite: bool
) -> None:
    """Ask and judge one shard's questions, for `solon gather`."""
    from scripts.commands.evaluate_table import StageProgress
    from scripts.commands.terminal import error_console, run_interruptibly
    from training.evaluation.inputs import open_inputs
    from training.evaluation.shards import EvaluationShard

    inputs, console = open_inputs(config), error_console()
    with open_place(place, cache=True) as directory, StageProgress(console) as progress:
        run = EvaluationShard(inputs, shard, directory, overwrite=overwrite)
        run_interruptibly(
            run.execute(progress),
            lambda: console.print("stopping: what was answered and judged is kept"),
        )
    typer.echo(f"{place.home}: answered and judged; `solon gather {place.out}` joins the shards")
