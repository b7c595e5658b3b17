"""`solon train`: SFT, DPO, a reward model or GRPO, from a YAML file."""

import os
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands.options import CommandLine
from scripts.commands.python_option import AllowPythonChecks

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from training.trainers.config import TrainingConfig
    from training.trainers.output import TrainingResult

__all__ = ["app"]

app = CommandLine(
    help="Train a model: the same command resumes an interrupted training.",
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


def _add(name: str, kind: str, told: str) -> None:
    """Add a trainer's command: `kind` is the class of its configuration."""

    def train(
        config: ConfigFile,
        set: Override = None,
        out: OutDir = None,
        resume: Resume = False,
        overwrite: Replace = False,
        allow_python_checks: AllowPythonChecks = False,
    ) -> None:
        from constitution.problems import InputError, Problem
        from constitution.typed_yaml import Override as Overriding
        from constitution.typed_yaml import load_config

        if resume and overwrite:
            remedy = "an interrupted training is resumed anyway; --overwrite starts over"
            raise InputError(Problem("--resume", "contradicts --overwrite", remedy))
        module = name.replace("-", "_")
        kinds = import_module(
            "training.trainers." + ("grpo_config" if name == "grpo" else "config")
        )
        place = [Overriding(("out",), str(out), "--out")] if out else []
        settings: TrainingConfig = load_config(
            getattr(kinds, kind), config, place, assignments=set or ()
        )
        _train(import_module(f"training.trainers.{module}").run, settings, overwrite)

    app.command(name, help=told)(train)


_add("sft", "SFTTrainingConfig", "Supervised fine-tuning on rows with `prompt` and `completion`.")
_add(
    "dpo",
    "DPOTrainingConfig",
    "Direct preference optimization on rows with `prompt`, `chosen` and `rejected`.",
)
_add(
    "reward-model",
    "RewardModelConfig",
    "A reward model on rows with `prompt`, `chosen` and `rejected`.",
)
_add(
    "grpo",
    "GRPOTrainingConfig",
    "Sample, reward by the constitution's judge or a reward model, and learn, online.",
)


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
        _report("interrupted: the same command resumes from the last checkpoint")
        raise typer.Exit(130) from None
    if _is_first():
        print_training(result, output_console())
