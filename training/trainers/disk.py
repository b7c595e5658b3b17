"""Room on the disk for what a training writes, known before its first step.

A checkpoint that is resumed from holds what is trained in 4 bytes a parameter and Adam's two moments in
8: of a full fine-tuning 12 bytes a parameter, six times the model in bfloat16; of LoRA the adapter's
alone. A new one is written before the oldest is deleted.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from constitution.problems import InputError, Problem
from engine.sizing.gpus import GIB
from training.trainers.base_config import TrainingConfig

__all__ = ["Written", "refuse_full_disk"]

_STATE = 4 + 8
_SPARE = 1.02
"""Tokenizer, log and file system."""


@dataclass(frozen=True, slots=True)
class Written:
    """Parameters, in all and of those that are trained; `width` is of one in the base model's files, in
    bytes; `models` counts those that are written whole at the end."""

    parameters: int
    trained: int
    width: int
    models: int = 1

    def bytes_needed(self, kept: int, there: int = 0) -> float:
        """The most at once, where `there` checkpoints lie already and `kept` stay."""
        checkpoint = _STATE * self.trained
        final = self.models * self.width * self.parameters + 4 * self.trained
        training = (kept + 1) * checkpoint if kept else 0
        return _SPARE * max(0.0, max(training, kept * checkpoint + final) - there * checkpoint)


def refuse_full_disk(written: Written, config: TrainingConfig, there: int) -> None:
    """Raise InputError where the disk of `config.out` has less room than the training needs, `there`
    checkpoints of an earlier run of it not counted."""
    out = Path(config.out)
    needed = written.bytes_needed(config.keep_checkpoints, there)
    free = shutil.disk_usage(out if out.exists() else out.parent).free
    if needed <= free:
        return
    remedy = "free some, or write to another disk with out"
    if config.keep_checkpoints and written.bytes_needed(0) <= free:
        remedy += f"; keep_checkpoints 0 needs {written.bytes_needed(0) / GIB:.1f} GiB"
    what = f"has {free / GIB:.1f} GiB free where checkpoints and model take {needed / GIB:.1f}"
    raise InputError(Problem(config.out, what, remedy))
