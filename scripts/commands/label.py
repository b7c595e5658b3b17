"""`solon label`: a policy's answers, paired and compared by a judge."""

from typing import TYPE_CHECKING

import typer

from constitution.problems import InputError, all_problems
from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks
from scripts.commands.shard_options import Scratch, ShardOption, open_place

if TYPE_CHECKING:
    from engine.runs.config import LabelConfig

__all__ = ["label"]


@o.configured("engine.runs.config:LabelConfig")
def label(
    config: "LabelConfig",
    update: o.Update = False,
    overwrite: o.Overwrite = False,
    retry_failed: o.RetryFailed = False,
    shard: ShardOption = None,
    scratch: Scratch = None,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Sample answers, pair them, and record which of each pair fits the constitution better.

    Exits 1 if prompts failed.
    """
    from constitution.loader import load_for_judging
    from engine.report.label_summary import no_labels, summarize_labels
    from engine.runs.label_run import LabelRun
    from engine.runs.shards import RunPlace
    from engine.settings import for_stakeholder
    from scripts.commands.run_command import execute_run, print_labels, run_mode, say_what_is_kept
    from scripts.commands.terminal import error_console, output_console

    mode = run_mode(update=update, overwrite=overwrite, retry_failed=retry_failed)
    place, console = RunPlace.parse(config.out, shard, scratch), error_console()
    rules, source, models = all_problems(
        lambda: for_stakeholder(load_for_judging(config.constitution), config.label.stakeholder),
        lambda: place.prompts(config.prompts.open()),
        lambda: config.roles.open(config.sampling),
    )
    with open_place(place) as out:
        run = LabelRun(
            out, source, rules, models["policy"], models["judge"], config.label,
            mode=mode, window=config.window,
        )  # fmt: skip
        if run.updated:
            say_what_is_kept(run, console)

        def sum_up() -> int:
            summary = summarize_labels(out)
            print_labels(summary, output_console())
            if not summary.failure_kinds and not summary.labelled and place.shard is None:
                raise InputError(no_labels(out, summary))
            return 1 if summary.failure_kinds else 0

        raise typer.Exit(execute_run(run, console, sum_up))
