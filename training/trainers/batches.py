"""The order in which rows are trained on: rows of a batch of similar length, so that little is padding.

The order depends on the seed and the epoch alone, so a resumed run sees what is left of the same one.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["LengthGrouped", "LengthGroupedSampler"]

_BATCHES = 50
"""Batches' worth of rows, drawn at random, that are sorted by length together."""


class LengthGroupedSampler:
    """Row numbers, each once in an epoch. `batch_size` counts the rows of all devices at once."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Of the next iteration; called by the training loop."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = random.Random(f"{self.seed} {self.epoch}")
        rows = list(range(len(self.lengths)))
        order.shuffle(rows)
        batches = []
        for start in range(0, len(rows), _BATCHES * self.batch_size):
            drawn = rows[start : start + _BATCHES * self.batch_size]
            drawn.sort(key=self.lengths.__getitem__)
            batches += [
                drawn[i : i + self.batch_size] for i in range(0, len(drawn), self.batch_size)
            ]
        order.shuffle(batches)
        # A batch that is not full can only be the last: the loop cuts the row numbers again.
        batches.sort(key=lambda batch: len(batch) < self.batch_size)
        for batch in batches:
            yield from batch


class LengthGrouped:
    """For a trainer of TRL to inherit from first; its order is random while `lengths` is None."""

    lengths: Sequence[int] | None = None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        arguments: Any = self.args  # type: ignore[attr-defined]
        if self.lengths is None:
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        size = arguments.train_batch_size * arguments.gradient_accumulation_steps
        return LengthGroupedSampler(self.lengths, size * arguments.world_size, arguments.seed)

    def create_model_card(self, **_: Any) -> None:
        """None beside checkpoints: the finished model gets ours."""
