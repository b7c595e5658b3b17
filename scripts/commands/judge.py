"""`solon judge`: is a judge worth its word? Fit a classifier, hold any judge against people."""

from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands import options as o
from scripts.commands.permission_options import AllowPythonChecks

if TYPE_CHECKING:
    from scripts.commands.judge_config import CalibrateConfig, FitConfig

__all__ = ["app"]

app = o.CommandLine(
    help="Independent judges, and how far any judge agrees with people.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Labels = Annotated[
    list[str],
    typer.Argument(
        help="Answers that people labelled, or comparisons (chosen and rejected): JSONL, JSON, "
        "CSV, Parquet, a saved dataset or hf:NAME.",
        show_default=False,
    ),
]


@app.command()
@o.configured("scripts.commands.judge_config:FitConfig")
def fit(
    config: "FitConfig",
    labels: Labels,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of --out.")
    ] = False,
) -> None:
    """Fit a small text classifier to labelled answers, and report how good it is on unseen prompts."""
    from scripts.commands.judge_run import fit_into

    fit_into(labels, config, overwrite=overwrite)


@app.command()
@o.configured("scripts.commands.judge_config:CalibrateConfig")
def calibrate(
    config: "CalibrateConfig",
    labels: Labels,
    allow_python_checks: AllowPythonChecks = False,
) -> None:
    """Measure how far a judge agrees with people: with labels (agreement, curve, best threshold), or
    with comparisons of a chosen and a rejected reply (accuracy, position bias)."""
    from scripts.commands.judge_run import calibrate_into

    calibrate_into(labels, config)
