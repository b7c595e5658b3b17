"""The way of every trainer that learns from rows: read, tokenize, train, write; resumed where it was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.data.readers import Shape
from training.data.rows import read_rows
from training.trainers.config import TrainingConfig
from training.trainers.fit import Measure, fit, identity_of
from training.trainers.models import (
    Kind,
    load_model,
    load_tokenizer,
    lora_config,
    quiet_libraries,
)
from training.trainers.output import Output, TrainingResult
from training.trainers.progress import Report, progress_callback
from training.trainers.tokenized import Encode, Tokenized, tokenize

__all__ = ["Method", "Setup", "train_on_rows"]


@dataclass(frozen=True, slots=True)
class Method:
    """A trainer's name, the rows it learns from, how they become tokens, and the model's head."""

    name: str
    shape: Shape
    encode: Encode
    kind: Kind = "causal"


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
    setup: Callable[[Any], Setup],
    report: Report,
    *,
    overwrite: bool,
) -> TrainingResult:
    """Train, or resume an interrupted training; what is complete already is returned as it is.

    `setup` is called with the tokenizer. Raises InputError for rows, a model or a directory that
    will not do, before anything is written.
    """
    rows = read_rows(config, method.shape)
    output = Output(method.name, config, rows, identity_of(config), overwrite=overwrite)
    if finished := output.find_finished():
        return finished
    quiet_libraries()
    tokenizer = load_tokenizer(config)
    ready = setup(tokenizer)
    with output:
        with ready.trl_config.main_process_first(local=False):
            folder, longest = output.path / "data", config.max_length
            data = tokenize(rows, method.encode, tokenizer, longest, folder, output.is_main)
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
        after: Measure = lambda it: ready.measure_after(it, data)  # noqa: E731
        before = ready.measure_before
        return fit(
            trainer, output, data, tokenizer, report, measure_before=before, measure_after=after
        )
