"""The way of every trainer that learns from rows: read, tokenize, train, write; resumed where it was."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.data.readers import Shape
from training.data.rows import Rows, read_rows
from training.trainers.config import TrainingConfig
from training.trainers.fit import fit, identity_of
from training.trainers.held_out import CountedEvaluation
from training.trainers.lora import check_lora, lora_config
from training.trainers.models import load_model, load_tokenizer, quiet_libraries
from training.trainers.output import Output, TrainingResult
from training.trainers.precision import Kind
from training.trainers.progress import Report, progress_callback
from training.trainers.tokenized import Encode, Tokenized, tokenize

__all__ = ["LengthGrouped", "LengthGroupedSampler", "Method", "Setup", "train_on_rows"]

_BATCHES = 50
"""Batches' worth of rows, drawn at random, that are sorted by length together."""


class LengthGroupedSampler:
    """Row numbers, each once in an epoch, those of a batch of similar length, so that little is
    padding. `batch_size` counts the rows of all devices at once.

    The order depends on the seed and the epoch alone: a resumed run sees what is left of it.
    """

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


class LengthGrouped(CountedEvaluation):
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


@dataclass(frozen=True, slots=True)
class Method:
    """A trainer's name, the rows it learns from, how they become tokens, what it is set up as (by
    its configuration and the tokenizer), and the model's head."""

    name: str
    shape: Shape
    encode: Encode
    setup: "Callable[[Any, Any], Setup]"
    kind: Kind = "causal"
    weighted: "Callable[[Any, Any], Setup] | None" = None
    """What it is set up as where rows do not all weigh the same; None where weights do not count."""
    prepare: "Callable[[Any, Rows], None]" = lambda config, rows: None
    """Changes the rows that were read, by the configuration."""


@dataclass(frozen=True, slots=True)
class Setup:
    """TRL's trainer class and configuration, and what else the trainer is built with.

    `measure_after` adds figures of the trained model, given the trainer and its rows.
    """

    trainer: Any
    trl_config: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    packed: bool = False
    """Rows share sequences, so that there are no batches of like lengths."""
    measure_before: bool = True
    measure_after: Callable[[Any, Tokenized], dict[str, Any]] = lambda trainer, data: {}


def train_on_rows(
    method: Method,
    config: TrainingConfig,
    *,
    overwrite: bool = False,
    report: Report = lambda line: None,
) -> TrainingResult:
    """Train, or resume an interrupted training; what is complete already is returned as it is.

    Raises InputError for rows, a model or a directory that will not do, before anything is written.
    """
    rows = read_rows(config, method.shape)
    method.prepare(config, rows)
    output = Output(method.name, config, rows, identity_of(config), overwrite=overwrite)
    if finished := output.find_finished():
        return finished
    quiet_libraries()
    tokenizer = load_tokenizer(config)
    check_lora(config, method.kind)
    weighs = any(row["weight"] != 1 for row in (*rows.train, *rows.test))
    ready = (method.weighted if weighs and method.weighted else method.setup)(config, tokenizer)
    with output:
        with ready.trl_config.main_process_first(local=False):
            place = output.path / "data", output.is_main
            data = tokenize(rows, method.encode, tokenizer, config.max_length, *place)
        for what, count in rows.noted.items():
            report(f"{count:,} rows: {what}")
        trainer = ready.trainer(
            model=load_model(config, tokenizer, method.kind),
            args=ready.trl_config,
            train_dataset=data.train,
            eval_dataset=data.test,
            processing_class=tokenizer,
            peft_config=lora_config(config, method.kind),
            callbacks=[progress_callback(output, report)],
            **ready.options,
        )
        trainer.lengths = None if ready.packed else data.lengths
        return fit(
            trainer, output, data, tokenizer, report,
            measure_before=ready.measure_before,
            measure_after=lambda trained: ready.measure_after(trained, data),
        )  # fmt: skip
