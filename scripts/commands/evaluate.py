"""`solon evaluate`: what training did, as a table and as a page."""

from typing import TYPE_CHECKING

import typer

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks
from scripts.commands.shard_options import Scratch, ShardOption, open_place

if TYPE_CHECKING:
    from engine.prompts.shard import Shard
    from engine.runs.shards import RunPlace
    from training.evaluation.config import EvaluateConfig

__all__ = ["evaluate"]

EXIT_GATE = 3
_NAMES = {
    "models": ("--model", "--models", "-m"),
    "classifiers": ("--classifier",),
    "evaluate.tasks": ("--task",),
    "evaluate.attacks": ("--attack",),
    "imported": ("--import",),
    "gates": ("--gate",),
    "curves": ("--curve",),
}


@o.configured("training.evaluation.config:EvaluateConfig", _NAMES)
def evaluate(
    config: "EvaluateConfig",
    overwrite: o.Overwrite = False,
    shard: ShardOption = None,
    scratch: Scratch = None,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Compare checkpoints on held-out prompts: a table, and a page.

    Each answers the same prompts, and a judge reads the answers. The same command resumes. Exits 3
    when a gate is broken.
    """
    from engine.runs.shards import RunPlace
    from scripts.commands.evaluate_table import StageProgress, print_results
    from scripts.commands.terminal import error_console, output_console, run_interruptibly
    from training.evaluation import EvaluationRun

    place = RunPlace.parse(config.out, shard, scratch)
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
    if not all(gate.kept for gate in results.gates):
        raise typer.Exit(EXIT_GATE)


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
