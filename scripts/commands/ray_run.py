"""A run in shards on a Ray cluster, as a person sees it: one display of all workers, then one run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from constitution.problems import EXIT_INTERRUPTED
from engine.report.wording import duration
from engine.runs.config import RunConfig
from engine.runs.finished_shards import begun_shards, finished_shards
from engine.runs.gather import gather_run
from engine.runs.manifest import read_manifest
from engine.runs.opening import open_inputs
from engine.runs.output import Mode
from engine.runs.ray_shards import RayProgress, RayShards
from engine.runs.ray_worker import RunWork, ShardJob, ShardProgress, ShardWork
from engine.runs.workers import Workers
from scripts.commands.gather import print_gathered
from scripts.commands.terminal import counted, error_console, run_interruptibly

if TYPE_CHECKING:
    from training.evaluation.config import EvaluateConfig
    from training.evaluation.inputs import EvaluationInputs

__all__ = ["evaluate_on_ray", "run_on_ray"]

_EVERY = 10.0
"""Seconds between lines in a log."""
_GATHERING: dict[Mode, Mode] = {"retry-failed": "overwrite"}
"""How OUT is gathered where the shards were not treated likewise."""


def run_on_ray(config: RunConfig, mode: Mode) -> int:
    """Do every shard and gather them; the exit code."""
    out, console = Path(config.out), error_console()
    open_inputs(config)
    if mode == "resume" and (read_manifest(out) or {}).get("complete"):
        console.print(f"{out}: every conversation is finished; nothing to do")
        return 0
    if code := _do_shards(RunWork(config, mode), config.workers, console):
        return code
    shards = finished_shards(out)
    return print_gathered(gather_run(out, shards, _GATHERING.get(mode, mode)), len(shards))


def evaluate_on_ray(config: "EvaluateConfig", *, overwrite: bool) -> int:
    """Ask and judge every shard's questions, and gather the answers: the exit code."""
    from training.evaluation.inputs import open_inputs
    from training.evaluation.shards import EvaluationWork, gather_evaluation

    out, console = Path(config.out), error_console()
    inputs = open_inputs(config)
    if not overwrite and _is_whole(out, inputs):
        return 0
    work = EvaluationWork(config, overwrite=overwrite)
    if code := _do_shards(work, config.workers, console):
        return code
    gather_evaluation(out, finished_shards(out), "overwrite" if overwrite else "resume")
    return 0


def _is_whole(out: Path, inputs: "EvaluationInputs") -> bool:
    """Whether a finished evaluation has these models and this judge, and no shards that could go on. Where
    it has shards the workers ask what is new, which may be nothing.
    """
    from training.evaluation.results import RESULTS, read_results

    if not (read_manifest(out) or {}).get("complete") or any(begun_shards(out)):
        return False
    if not (out / RESULTS).is_file():
        return False
    found = read_results(out)
    specs = {model.name: model.spec for model in found.models}
    asked = {name: model.spec for name, model in inputs.models.items()}
    return asked.items() <= specs.items() and found.judge == inputs.judges.judge.spec


def _do_shards(work: ShardWork, settings: Workers, console: Console) -> int:
    """Finish them; the exit code where that was interrupted, else 0."""
    job = ShardJob(work, settings.count, settings.scratch)
    workers = RayShards(
        job, address=settings.ray or "auto", gpus=settings.gpus, workers=settings.most
    )
    try:
        with _shown(console) as show:
            run_interruptibly(workers.execute(show), lambda: console.print("stopping the workers"))
    except KeyboardInterrupt:
        now = workers.progress()
        left = f"{now.finished} of {now.shards} shards are finished"
        console.print(f"interrupted: {left}; the same command resumes")
        return EXIT_INTERRUPTED
    finally:
        workers.close()
    return 0


@contextmanager
def _shown(console: Console) -> Iterator[Callable[[RayProgress], None]]:
    """What shows the progress: a table that is drawn again, or lines in a log."""
    if console.is_terminal:
        with Live(console=console, transient=True) as live:
            yield lambda now: live.update(_table(now))
        return
    began = time.monotonic()
    last = began

    def line(now: RayProgress) -> None:
        nonlocal last
        clock = time.monotonic()
        if clock - last >= _EVERY:
            last = clock
            console.print(f"{duration(clock - began)}: {_line(now)}", soft_wrap=True)

    yield line


def _line(now: RayProgress) -> str:
    paces = ", ".join(f"{worker.pace:,.0f}" for worker in now.workers)
    total = sum(worker.pace for worker in now.workers)
    return f"{_shards(now)} | {total:,.0f} tok/s ({paces}) | {', '.join(map(_at, now.workers))}"


def _shards(now: RayProgress) -> str:
    moved = f", {now.moved} went to another worker ({now.problem})" if now.moved else ""
    awaited = f", {counted(now.awaited, 'worker')} awaited" if now.awaited else ""
    return f"{now.finished}/{now.shards} shards{moved}{awaited}"


def _at(worker: ShardProgress) -> str:
    done = f"{worker.done:,}/{worker.total:,}" if worker.total else "starting"
    return f"shard {worker.shard}: {done}"


def _table(now: RayProgress) -> Table:
    table = Table("worker on", "shard", "conversations", "tok/s", title=_shards(now), box=None)
    for worker in now.workers:
        done = f"{worker.done:,}/{worker.total:,}"
        pace = f"{worker.pace:,.0f}" if worker.started else "starting"
        table.add_row(worker.host, str(worker.shard), done, pace)
    return table
