"""`solon train`: SFT, DPO, a reward model or GRPO, from a YAML file."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands.options import CommandLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from training.trainers.config import Config, TrainingConfig
    from training.trainers.output import TrainingResult

__all__ = ["app"]

app = CommandLine(
    help="Train a model: the same command takes up an interrupted training.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="YAML file with the settings (docs/training.md).")
]
Override = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, such as lora.r=8; repeatable."),
]
OutDir = Annotated[
    Path | None, typer.Option("--out", "-o", help="Directory to write; overrides `out`.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint: done anyway.")
]
Replace = Annotated[
    bool, typer.Option("--overwrite", help="Replace what another training left in --out.")
]


@app.command()
def sft(
    config: ConfigFile,
    set: Override = None,
    out: OutDir = None,
    resume: Resume = False,
    overwrite: Replace = False,
) -> None:
    """Supervised fine-tuning on rows with `prompt` and `completion`."""
    from training.trainers.config import SFTTrainingConfig

    loaded = _load(config, SFTTrainingConfig, set, out, resume, overwrite)
    from training.trainers.sft import run

    _train(run, loaded, overwrite)


@app.command()
def dpo(
    config: ConfigFile,
    set: Override = None,
    out: OutDir = None,
    resume: Resume = False,
    overwrite: Replace = False,
) -> None:
    """Direct preference optimization on rows with `prompt`, `chosen` and `rejected`."""
    from training.trainers.config import DPOTrainingConfig

    loaded = _load(config, DPOTrainingConfig, set, out, resume, overwrite)
    from training.trainers.dpo import run

    _train(run, loaded, overwrite)


@app.command("reward-model")
def reward_model(
    config: ConfigFile,
    set: Override = None,
    out: OutDir = None,
    resume: Resume = False,
    overwrite: Replace = False,
) -> None:
    """A reward model on rows with `prompt`, `chosen` and `rejected`."""
    from training.trainers.config import RewardModelConfig

    loaded = _load(config, RewardModelConfig, set, out, resume, overwrite)
    from training.trainers.reward_model import run

    _train(run, loaded, overwrite)


@app.command()
def grpo(
    config: ConfigFile,
    set: Override = None,
    out: OutDir = None,
    resume: Resume = False,
    overwrite: Replace = False,
) -> None:
    """Sample, reward by the constitution's judge or a reward model, and learn, online."""
    from training.trainers.grpo_config import GRPOTrainingConfig

    loaded = _load(config, GRPOTrainingConfig, set, out, resume, overwrite)
    from training.trainers.grpo import run

    _train(run, loaded, overwrite)


def _load(
    file: Path,
    kind: "type[Config]",
    overrides: list[str] | None,
    out: Path | None,
    resume: bool,
    overwrite: bool,
) -> "Config":
    """The settings. Raises InputError."""
    from constitution.problems import InputError, Problem
    from training.trainers.config import load_config

    if resume and overwrite:
        remedy = "an interrupted training is resumed anyway; --overwrite starts anew"
        raise InputError(Problem("--resume", "contradicts --overwrite", remedy))
    return load_config(file, kind, overrides or (), out)


def _is_first() -> bool:
    """Of the processes that train together, the one that speaks."""
    return int(os.environ.get("RANK", "0")) == 0


@cache
def _console() -> "Console":
    from scripts.commands.terminal import error_console

    return error_console()


def _report(line: str) -> None:
    if _is_first():
        _console().print(line, soft_wrap=True)


def _train(run: "Callable[..., TrainingResult]", config: "TrainingConfig", overwrite: bool) -> None:
    """Train and show how it ended."""
    from scripts.commands.terminal import output_console
    from scripts.commands.training_table import print_training

    try:
        result = run(config, overwrite=overwrite, report=_report)
    except KeyboardInterrupt:
        _report("interrupted: the same command goes on from the last checkpoint")
        raise typer.Exit(130) from None
    if _is_first():
        print_training(result, output_console())
