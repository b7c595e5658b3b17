"""What every trainer does alike: arguments from settings, and from the first step to the manifest."""

import math
import os
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem, Stopped
from constitution.reading import read_bytes
from engine.generators.fingerprint import uses_gpu
from engine.report.tracking import PROJECT, check_tracker
from engine.report.wording import duration
from training.trainers.budget import Meter
from training.trainers.config import TrainingConfig
from training.trainers.disk import refuse_full_disk
from training.trainers.lora import restore_adapter
from training.trainers.models import fingerprint
from training.trainers.output import Output, TrainingResult
from training.trainers.precision import computing_dtype
from training.trainers.progress import Report
from training.trainers.saving import save_final_model, what_is_written
from training.trainers.tokenized import Tokenized

__all__ = ["arguments", "fit", "identity_of", "report_rows"]

Measure = Callable[[Any], dict[str, Any]]
"""Figures of a trainer's model on held-out rows."""


def arguments(config: TrainingConfig) -> dict[str, Any]:
    """Keyword arguments that every configuration of TRL takes.

    The loop neither logs to the terminal nor saves: `training.trainers.progress` does both.
    """
    gpu = uses_gpu()
    checkpointing, computing = config.gradient_checkpointing, computing_dtype(config)
    return {
        "output_dir": str(Path(config.out) / "checkpoints"),
        "seed": config.seed,
        "data_seed": config.seed,
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": config.warmup,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "gradient_checkpointing": gpu if checkpointing is None else checkpointing,
        "bf16": computing == "bfloat16",
        "fp16": computing == "float16",
        "use_liger_kernel": _liger(config, gpu),
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "logging_steps": 0.01,  # a share of all steps, at least one
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "save_total_limit": config.keep_checkpoints or None,
        "eval_strategy": "no",
        "disable_tqdm": True,
        "report_to": _tracker(config),
        "project": PROJECT,
        "run_name": Path(config.out).name,
    }


def _liger(config: TrainingConfig, gpu: bool) -> bool:
    from transformers.utils import is_liger_kernel_available

    if config.liger and not is_liger_kernel_available():
        raise InputError(Problem("liger", "is not installed", "pip install liger-kernel"))
    return gpu and is_liger_kernel_available() if config.liger is None else config.liger


def _tracker(config: TrainingConfig) -> str:
    """Where metrics go besides the log. Raises InputError if its package is missing."""
    name = config.report_to
    check_tracker(name, "report_to")
    if name == "tensorboard":
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(Path(config.out) / "tensorboard"))
    if name == "mlflow":
        os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", PROJECT)
    return name


def identity_of(config: TrainingConfig) -> dict[str, str]:
    """What the trained model depends on besides rows and settings: files, by their content."""
    found = {"model": f"{Path(config.model).name} ({fingerprint(config.model)})"}
    for name in ("reference", "value_model"):
        if model := getattr(config, name, None):
            found[name] = f"{Path(model).name} ({fingerprint(model)})"
    if config.chat_template:
        text = read_bytes(Path(config.chat_template))
        found["chat_template"] = sha256(text).hexdigest()[:16]
    return found


def report_rows(data: Tokenized, report: Report) -> None:
    """Say how many rows there are, and how many were left out and why."""
    counts = data.counts
    report(f"{counts['train']:,} rows to train on, {counts['test']:,} held out")
    for reason, count in data.dropped.items():
        report(f"{count:,} rows left out: {reason}")


def fit(
    trainer: Any,
    output: Output,
    data: Tokenized,
    tokenizer: Any,
    report: Report,
    *,
    measure_before: bool = True,
    measure_after: Measure = lambda trainer: {},
) -> TrainingResult:
    """Measure, train (from the last checkpoint if there is one), measure, save, write the manifest.

    `measure_after` adds figures of the trained model. Every process calls this.
    """
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    restore_adapter(trainer.model, output.config.lora)
    there = len(list(output.checkpoints.glob("checkpoint-*")))
    refuse_full_disk(what_is_written(trainer, output.config), output.config, there)
    report_rows(data, report)
    meter = Meter(output.config.budget)
    trainer.add_callback(meter.callback())
    checkpoint = output.last_checkpoint
    if checkpoint is not None:
        report(f"resuming from step {checkpoint.name.rpartition('-')[2]}")
    elif output.is_main:
        output.log.unlink(missing_ok=True)
    # A sharded model is set up for training once: measuring it before would set it up otherwise.
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if checkpoint is None and data.test is not None and measure_before and not sharded:
        trainer.evaluate()
    result = _trained(trainer, output, data, meter, report, checkpoint, measure_after)
    report(f"trained in {duration(result.seconds)}; saving")
    save_final_model(trainer, output.config, tokenizer, output.path)
    if output.is_main:
        output.complete(result)
        output.publish()
    trainer.accelerator.wait_for_everyone()
    return result


def _trained(
    trainer: Any,
    output: Output,
    data: Tokenized,
    meter: Meter,
    report: Report,
    checkpoint: Path | None,
    measure_after: Measure,
) -> TrainingResult:
    """Train within the budget, and measure."""
    began = time.monotonic()
    meter.begin(trainer, checkpoint)
    trained = _train(trainer, checkpoint)
    seconds, cost, tokens = time.monotonic() - began, meter.report(), meter.tokens
    if cost["stopped_by"]:
        report(f"stopped by the budget of {cost['stopped_by']}")
    metrics = _metrics(trainer, trained, output, data, tokens)
    metrics |= measure_after(trainer) | {"cost": cost}
    return TrainingResult(
        trainer=output.trainer,
        out=output.path,
        steps=trainer.state.global_step,
        seconds=round(seconds, 2),
        rows=data.counts,
        dropped=data.dropped,
        metrics=metrics,
    )


def _train(trainer: Any, checkpoint: Path | None) -> Any:
    """Raises Stopped where memory does not suffice, or the loss is no longer a number."""
    import torch

    try:
        trained = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch.OutOfMemoryError as error:
        remedy = "lower batch_size (and raise gradient_accumulation), or set gradient_checkpointing"
        raise Stopped(f"the GPU's memory does not suffice; {remedy}, or lora") from error
    if not math.isfinite(trained.training_loss):
        remedy = "lower learning_rate and start over with --overwrite"
        raise Stopped(f"the training diverged: its loss is {trained.training_loss}; {remedy}")
    return trained


def _metrics(
    trainer: Any, trained: Any, output: Output, data: Tokenized, tokens: int
) -> dict[str, Any]:
    """Mean training loss, pace, and the held-out figures before and after."""
    runtime = trained.metrics["train_runtime"]
    metrics: dict[str, Any] = {
        "train_loss": trained.training_loss,
        "tokens": tokens,
        "tokens_per_second": round(tokens / runtime, 1) if runtime else 0.0,
    }
    if data.test is not None:
        after = trainer.evaluate()
        if before := _held_out(output.logged(0, "eval_")):
            metrics["before"] = before
        metrics["after"] = _held_out(after)
    return metrics


def _held_out(logged: dict[str, Any]) -> dict[str, float]:
    """Figures on held-out rows, without the pace of measuring them."""
    pace = {"runtime", "samples_per_second", "steps_per_second", "num_tokens", "epoch"}
    pace.add("model_preparation_time")
    named = {name.removeprefix("eval_"): value for name, value in logged.items()}
    return {n: v for n, v in named.items() if n not in pace and v is not None}
