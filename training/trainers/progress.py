"""What a training says while it lasts: `log.jsonl` by step, and a line every few seconds."""

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from engine.report.wording import duration
from engine.storage.atomic import replacing
from engine.storage.jsonl import JsonlStore, read_jsonl
from training.trainers.output import Output

__all__ = ["Report", "progress_callback"]

Report = Callable[[str], None]
"""Shows one line to whoever waits."""

_EVERY, _SELDOMEST = 5.0, 60.0
"""Seconds between lines, more as the training goes on: a tenth of its age."""
_CHECKPOINT_EVERY = 600.0
"""Seconds between checkpoints where no number of steps is set."""
_ASK_EVERY = 10
"""Steps between the moments at which several processes agree whether it is time for one."""
_LINE = ("rewards/margins", "rewards/accuracies", "accuracy", "reward", "kl")


def progress_callback(output: Output, report: Report) -> Any:
    """A TrainerCallback that logs, reports, and asks for checkpoints. One for one training."""
    from transformers import TrainerCallback

    class ProgressCallback(_Progress, TrainerCallback):  # type: ignore[misc]  # it takes keywords
        """The Trainer checks for its own class."""

    return ProgressCallback(output, report)


class _Progress:
    def __init__(self, output: Output, report: Report) -> None:
        self._output = output
        self._report = report
        self._began = self._told = self._saved = time.monotonic()
        self._first_step = 0
        self._last: dict[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = self._told = self._saved = time.monotonic()
        self._first_step = state.global_step
        if state.is_world_process_zero:
            self._cut_log(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        config = self._output.config
        every = config.save_every
        if config.keep_checkpoints == 0:
            due = False
        elif every:
            due = state.global_step % every == 0
        else:
            due = self._agreed(time.monotonic() - self._saved > _CHECKPOINT_EVERY, args, state)
        if due and state.global_step < state.max_steps:
            control.should_save = True
            self._saved = time.monotonic()
        self._say(state)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any
    ) -> None:
        if not state.is_world_process_zero or "train_runtime" in logs:
            return
        figures = {name: _plain(value) for name, value in logs.items()}
        if "loss" in figures:
            self._last = figures
        with closing(JsonlStore(self._output.log)) as log:
            log.append({"step": state.global_step, **figures})

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._say(state, now=True)

    def _cut_log(self, step: int) -> None:
        """Lines of steps that a killed run made after its last checkpoint are made again."""
        file = self._output.log
        if file.exists():
            kept = [line for line in read_jsonl(file) if line["step"] <= step]
            with replacing(file) as draft:
                draft.writelines(json.dumps(line).encode() + b"\n" for line in kept)

    @staticmethod
    def _agreed(due: bool, args: Any, state: Any) -> bool:
        """The first process decides for all, since saving is done together."""
        if args.world_size == 1:
            return due
        if state.global_step % _ASK_EVERY:
            return False
        from accelerate.utils import broadcast_object_list

        decision = [due]
        broadcast_object_list(decision, from_process=0)
        return decision[0]

    def _say(self, state: Any, *, now: bool = False) -> None:
        clock = time.monotonic()
        pause = min(_SELDOMEST, max(_EVERY, (clock - self._began) / 10))
        if not state.is_world_process_zero or (clock - self._told < pause and not now):
            return
        self._told = clock
        done = state.global_step - self._first_step
        parts = [f"step {state.global_step:,}/{state.max_steps:,}"]
        parts += [f"{name} {self._last[name]:.4g}" for name in ("loss", *_LINE) if self._has(name)]
        seconds = clock - self._began
        if self._has("num_tokens") and seconds > 0:
            parts.append(f"{self._last['num_tokens'] / seconds:,.0f} tok/s")
        if done and not now:
            left = seconds / done * (state.max_steps - state.global_step)
            parts.append(f"left {duration(left)}")
        self._report(" | ".join(parts))

    def _has(self, name: str) -> bool:
        return isinstance(self._last.get(name), int | float)


def _plain(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null."""
    number = value.item() if hasattr(value, "item") else value
    return None if isinstance(number, float) and not math.isfinite(number) else number
