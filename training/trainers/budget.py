"""What a training costs, measured while it lasts, and the budget that ends it.

Tokens are those that the trained model read or wrote: of rows with padding left out, of online training
those of prompts and sampled answers. GPU-hours are the hours of the training loop, sampling and rewards
included, times its processes; on a machine without a GPU they are hours of its processes.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from constitution.problems import InputError, Problem
from constitution.reading import read_json
from constitution.typed_yaml import Settings
from engine.input_files import InputFile
from engine.storage.atomic import write_json_atomic

__all__ = ["Budget", "Cost", "Meter", "cost_in"]

_FILE = "cost.json"
"""In a checkpoint: what was spent until then."""


class Budget(Settings):
    """The most that a training may cost; it stops at whichever comes first, before a step that
    would go beyond; what the first step costs is not known before it is done."""

    gpu_hours: float | None = Field(
        default=None, gt=0, description="Hours of the training loop, times its processes."
    )
    tokens: int | None = Field(
        default=None, ge=1, description="That the model reads or writes while it is trained."
    )
    steps: int | None = Field(default=None, ge=1, description="Of the optimizer.")
    after: Annotated[list[str], InputFile()] = Field(
        default_factory=list,
        description="Directories of trainings that drew on the same budget before.",
    )

    def limits(self) -> dict[str, float]:
        """Those that are set, by name."""
        given = {"gpu_hours": self.gpu_hours, "tokens": self.tokens, "steps": self.steps}
        return {name: limit for name, limit in given.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one training, or of several in a row."""

    gpu_hours: float = 0.0
    tokens: int = 0
    steps: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.gpu_hours + other.gpu_hours, self.tokens + other.tokens, self.steps + other.steps
        )


def cost_in(manifest: Mapping[str, Any]) -> Cost:
    """What the manifest of a training says that it cost; nothing where it does not say."""
    told = manifest.get("metrics", {}).get("cost") or {}
    return Cost(
        float(told.get("gpu_hours", 0)), int(told.get("tokens", 0)), int(told.get("steps", 0))
    )


class Meter:
    """Counts what a trainer of TRL spends, and ends it when the next step would go beyond its budget.

    `begin` before the training and `callback` in it. Raises InputError where the trainings before have
    spent all of it.
    """

    def __init__(self, budget: Budget) -> None:
        self.limits = budget.limits()
        self.before = sum(map(_spent_in, budget.after), Cost())
        spent = asdict(self.before)
        for name, limit in self.limits.items():
            if spent[name] >= limit:
                what = f"{limit:g} {name} are spent by {', '.join(budget.after)}"
                raise InputError(Problem("budget", what, "raise it, or train less before"))
        self.stopped_by: str | None = None
        self._earlier = Cost()
        """Of this training, before it was interrupted."""
        self._trainer: Any = None
        self._began = 0.0
        self._tokens_before = 0
        self._tokens_at_step = 0
        self._most_tokens = 0
        """Of one step: a trainer that samples for several steps at once reads them all in the first."""
        self._steps_before = 0

    def begin(self, trainer: Any, checkpoint: Path | None) -> None:
        """Count from here; `checkpoint` is what the training goes on from."""
        self._trainer = trainer
        self._began = time.monotonic()
        if checkpoint is not None and (checkpoint / _FILE).is_file():
            self._earlier = cost_in({"metrics": {"cost": read_json(checkpoint / _FILE, dict)}})
        steps = self.limits.get("steps")
        if steps is not None and self.before.steps + _planned_steps(trainer) > steps:
            # So that the learning rate's schedule ends where the training does.
            trainer.args.max_steps = int(steps) - self.before.steps
            self.stopped_by = "steps"

    @property
    def tokens(self) -> int:
        """That this process has trained on so far."""
        return self._tokens_seen() - self._tokens_before

    @property
    def cost(self) -> Cost:
        """Of this training so far."""
        processes = self._trainer.args.world_size
        hours = (time.monotonic() - self._began) * processes / 3600
        steps = self._trainer.state.global_step - self._steps_before
        return self._earlier + Cost(hours, self.tokens, steps)

    def report(self) -> dict[str, Any]:
        """For the manifest."""
        told = asdict(self.cost) | {"stopped_by": self.stopped_by}
        return {**told, "before": asdict(self.before)} if self.before.steps else told

    def callback(self) -> Any:
        """A TrainerCallback."""
        from transformers import TrainerCallback

        meter = self

        class MeterCallback(TrainerCallback):
            """The Trainer checks for its own class."""

            def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                meter._tokens_before = meter._tokens_at_step = meter._tokens_seen()
                meter._steps_before = state.global_step

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if name := meter.exhausted():
                    meter.stopped_by = name
                    control.should_training_stop = True

            def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.is_world_process_zero:
                    folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                    write_json_atomic(folder / _FILE, asdict(meter.cost))

        return MeterCallback()

    def exhausted(self) -> str | None:
        """The limit that one more step would exceed, of mean hours and the most tokens that one took.

        To be asked after every step; the same in every process.
        """
        here, seen = self.cost, self._tokens_seen()
        self._most_tokens = max(self._most_tokens, seen - self._tokens_at_step)
        self._tokens_at_step = seen
        one_more = Cost(here.gpu_hours / max(1, here.steps), self._most_tokens, 1)
        then = asdict(self.before + here + one_more)
        beyond = [name for name, limit in self.limits.items() if then[name] > limit]
        return self._agreed(beyond[0] if beyond else None)

    def _agreed(self, name: str | None) -> str | None:
        if not self.limits or self._trainer.args.world_size == 1:
            return name
        from accelerate.utils import broadcast_object_list

        decided = [name]
        broadcast_object_list(decided, from_process=0)
        return decided[0]

    def _tokens_seen(self) -> int:
        """Trainers on rows keep a count of TRL's own, which stays 0 in those that sample their answers."""
        trainer = self._trainer
        samples = hasattr(trainer, "num_generations") or not hasattr(trainer, "_total_train_tokens")
        return int(trainer.state.num_input_tokens_seen if samples else trainer._total_train_tokens)


def _planned_steps(trainer: Any) -> int:
    """Of the optimizer, as the Trainer will count them."""
    if trainer.args.max_steps > 0:
        return int(trainer.args.max_steps)
    batches = len(trainer.get_train_dataloader())
    in_epoch = max(1, math.ceil(batches / trainer.args.gradient_accumulation_steps))
    steps: int = math.ceil(trainer.args.num_train_epochs * in_epoch)
    return steps


def _spent_in(directory: str) -> Cost:
    """Raises InputError for a directory that no training has left."""
    return cost_in(read_json(Path(directory) / "manifest.json", dict))
