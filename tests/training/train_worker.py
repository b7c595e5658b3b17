"""Trains in processes of its own that are killed as soon as a checkpoint is whole.

    python -m tests.training.train_worker TASK CONFIG [TASK CONFIG ...]

The libraries are imported once and the process then forks for each task.
"""

import importlib
import os
import signal
import sys
import time
from pathlib import Path

from constitution.typed_yaml import load_config
from training.trainers.config import DPOTrainingConfig, SFTTrainingConfig

KINDS = {"sft": SFTTrainingConfig, "dpo": DPOTrainingConfig}


def main(*arguments: str) -> None:
    import trl.trainer.sft_trainer  # noqa: F401

    for task, file in zip(arguments[::2], arguments[1::2], strict=True):
        kill_in_the_middle(task, file)


def kill_in_the_middle(task: str, file: str) -> None:
    config = load_config(KINDS[task], Path(file))
    child = os.fork()
    if child == 0:
        importlib.import_module(f"training.trainers.{task}").run(config)
        os._exit(0)
    checkpoints = Path(config.out) / "checkpoints"
    while not list(checkpoints.glob("checkpoint-*/trainer_state.json")):
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit(f"{task}: ended before it could be killed")
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
