"""`solon label`: a policy's answers, paired and compared by a judge."""

from typing import TYPE_CHECKING

import typer

from constitution.problems import InputError
from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks
from scripts.commands.shard_options import ShardOption, opened_run

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
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Sample answers, pair them, and record which of each pair fits the constitution better.

    Exits 1 if prompts failed.
    """
    from engine.report.label_summary import no_labels, summarize_labels
    from engine.report.tracked_runs import tracked_labels
    from engine.report.tracking import check_tracker, track
    from scripts.commands.run_command import execute_run, print_labels, run_mode, say_what_is_kept
    from scripts.commands.terminal import error_console, output_console

    check_tracker(config.report_to)
    mode = run_mode(update=update, overwrite=overwrite, retry_failed=retry_failed)
    console = error_console()
    with opened_run(config, shard, mode) as run:
        if run.updated:
            say_what_is_kept(run, console)

        def sum_up() -> None:
            summary = summarize_labels(run.directory.path)
            print_labels(summary, output_console())
            if config.report_to != "none" and run.prompts.shard is None:
                track(config.report_to, tracked_labels(run.directory.path), run.directory.path)
            if not summary.failure_kinds and not summary.labelled and run.prompts.shard is None:
                raise InputError(no_labels(run.directory.path, summary))

        raise typer.Exit(execute_run(run, console, sum_up))
