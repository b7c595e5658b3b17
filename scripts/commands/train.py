"""`solon train`: SFT, DPO, a reward model or online RL, from a YAML file."""

import os
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.commands.options import CommandLine
from scripts.commands.permission_options import (
    AllowKeys,
    AllowPush,
    AllowPythonChecks,
    AllowRemoteCode,
)
from scripts.commands.resources import OnGpu, refuse_without_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

Plan = Annotated[
    bool,
    typer.Option("--plan", help="Say what it takes of one GPU, and stop; exits 2 if too much."),
]


def _add(name: str, kind: str, told: str) -> None:
    """Add a trainer's command: `kind` is the class of its configuration."""

    def train(
        config: ConfigFile,
        set: Override = None,
        out: OutDir = None,
        resume: Resume = False,
        overwrite: Replace = False,
        plan: Plan = False,
        gpu: OnGpu = None,
        allow_python_checks: AllowPythonChecks = False,
        allow_remote_code: AllowRemoteCode = False,
        allow_keys: AllowKeys = None,
        allow_push: AllowPush = False,
    ) -> None:
        from constitution.problems import InputError, Problem
        from constitution.typed_yaml import Override as Overriding
        from constitution.typed_yaml import load_config

        refuse_without_plan(plan, gpu, None)
        if resume and overwrite:
            remedy = "an interrupted training is resumed anyway; --overwrite starts over"
            raise InputError(Problem("--resume", "contradicts --overwrite", remedy))
        place = [Overriding(("out",), str(out), "--out")] if out else []
        known = getattr(import_module("training.trainers.config"), kind)
        settings: TrainingConfig = load_config(known, config, place, assignments=set or ())
        if plan:
            _print_plan(name, settings, gpu)
            return
        module = import_module(f"training.trainers.{name.replace('-', '_')}")
        _train(module.run, settings, overwrite)

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
_add("kto", "KTOTrainingConfig", "Learn from good and bad answers, of pairs or one by one.")
_ONLINE = "Sample, reward by a judge, reward models, checks or code, and learn, online: "
_add("grpo", "GRPOTrainingConfig", f"{_ONLINE}answers compared with the others of their prompt.")
_add("rloo", "RLOOTrainingConfig", f"{_ONLINE}REINFORCE, with the others' mean as the baseline.")
_add("ppo", "PPOTrainingConfig", f"{_ONLINE}PPO with a value function, as InstructGPT.")


def _print_plan(name: str, config: "TrainingConfig", gpu: str | None) -> None:
    """Raises InputError where it does not fit the GPU here, or that of --gpu."""
    from engine.sizing.sized import Sizes
    from engine.sizing.stages import StageResources
    from scripts.commands.resources import machine_to_plan_for, print_resources
    from training.trainers.training_need import training_need

    machine, sizes = machine_to_plan_for(gpu), Sizes(ask_hub=gpu is not None)
    found = [StageResources(name, training_need(config, sizes, machine))]
    print_resources(found, sizes, machine, None, _report)


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
    from constitution.problems import EXIT_INTERRUPTED
    from scripts.commands.terminal import output_console

    try:
        result = run(config, overwrite=overwrite, report=_report)
    except KeyboardInterrupt:
        _report("interrupted: the same command resumes from the last checkpoint")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if _is_first():
        print_training(result, output_console())


_SHOWN = {
    "loss": "loss on held-out rows",
    "mean_token_accuracy": "tokens predicted right",
    "rewards/accuracies": "pairs ranked right",
    "rewards/margins": "reward margin",
    "accuracy": "pairs ranked right",
    "margin": "reward margin",
    "reward": "reward",
    "kl": "KL from the reference",
}
"""Figures worth a line, by their names in the manifest, and what to call them."""


def print_training(result: "TrainingResult", console: "Console") -> None:
    """How it ended: the held-out figures before and after, and where everything is."""
    from rich.table import Table

    from engine.report.wording import decimal, duration

    if result.already_complete:
        console.print(f"{result.out}: complete already; nothing to do", soft_wrap=True)
    metrics = result.metrics
    before, after = metrics.get("before", {}), metrics.get("after", {})
    named = ("before", "after")
    sampled = "start" in metrics
    if sampled and not after:
        before, after, named = metrics["start"], metrics["end"], ("first steps", "last steps")
    table = Table(box=None, pad_edge=False, show_header=bool(before))
    table.add_column("")
    for name in named:
        table.add_column(name, justify="right")
    for name, label in _SHOWN.items():
        # The loss of a policy gradient says nothing: it is near 0 whatever was learned.
        if name in after and not (sampled and name == "loss"):
            table.add_row(label, decimal(before.get(name)) if before else "", _number(after[name]))
    for label, value in _reward_model(metrics.get("held_out_pairs", {})):
        table.add_row(label, "", value)
    if table.row_count:
        console.print(table)
    rows = result.rows
    console.print(
        f"{result.steps:,} steps in {duration(result.seconds)} on {rows.get('train', 0):,} rows, "
        f"{metrics.get('tokens_per_second', 0):,.0f} tokens/s"
        + ("" if sampled else f"; training loss {_number(metrics.get('train_loss'))}")
    )
    for reason, count in result.dropped.items():
        console.print(f"{count:,} rows left out: {reason}")
    console.print(f"{result.model if result.model.is_dir() else result.out}", soft_wrap=True)


def _number(value: Any) -> str:
    from engine.report.wording import decimal

    return decimal(float(value)) if isinstance(value, int | float) else decimal(None)


def _reward_model(report: "Mapping[str, Any]") -> list[tuple[str, str]]:
    """The report on held-out pairs in words."""
    from engine.report.wording import percent

    if not report:
        return []
    length = report["length_correlation"]
    return [
        (f"accuracy on {report['pairs']:,} held-out pairs", percent(report["accuracy"])),
        ("calibration error (0 is best)", _number(report["calibration_error"])),
        ("cross-entropy with the judge", _number(report["cross_entropy"])),
        ("reward and length, Spearman", _number(length["spearman"])),
        ("reward and length, Pearson", _number(length["pearson"])),
        ("prefers the longer answer", percent(report["prefers_longer"])),
        ("the judge preferred it", percent(report["judge_prefers_longer"])),
        *(
            (f"accuracy, {of} {name}", f"{percent(found['accuracy'])} of {found['pairs']:,}")
            for of, key in (("better answer", "by_length"), ("worse answer", "by_kind"))
            for name, found in report.get(key, {}).items()
        ),
    ]
