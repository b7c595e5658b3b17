"""Supervised fine-tuning on revised answers (Bai et al. 2022, section 3), on TRL's SFTTrainer.

The loss is on the answer's tokens only. Rows are never cut: what is longer than `max_length` is
left out and counted.
"""

from typing import Any

from training.data.rows import read_rows
from training.trainers.batches import LengthGrouped
from training.trainers.config import SFTTrainingConfig
from training.trainers.fit import arguments, fit, identity_of
from training.trainers.models import (
    has_flash_attention,
    load_model,
    load_tokenizer,
    lora_config,
    quiet_libraries,
)
from training.trainers.output import Output, TrainingResult
from training.trainers.progress import Report, progress_callback
from training.trainers.tokenized import sft_tokens, tokenize

__all__ = ["run"]


def run(
    config: SFTTrainingConfig, *, overwrite: bool = False, report: Report = lambda line: None
) -> TrainingResult:
    """Train, or take up an interrupted training; what is complete already is returned as it is.

    Raises InputError for rows, a model or a directory that will not do, before anything is written.
    """
    rows = read_rows(config, "sft")
    output = Output("sft", config, rows, identity_of(config), overwrite=overwrite)
    if finished := output.find_finished():
        return finished
    quiet_libraries()
    tokenizer = load_tokenizer(config)
    trainer_class, trl_config = _trainer(config)
    with output:
        with trl_config.main_process_first(local=False):
            data = tokenize(
                rows, sft_tokens, tokenizer, config.max_length, output.path / "data", output.is_main
            )
        trainer = trainer_class(
            model=load_model(config, tokenizer, "causal"),
            args=trl_config,
            train_dataset=data.train,
            eval_dataset=data.test,
            processing_class=tokenizer,
            peft_config=lora_config(config, "causal"),
            callbacks=[progress_callback(output, report)],
        )
        trainer.lengths = None if trl_config.packing else data.lengths
        return fit(trainer, output, data, tokenizer, report)


def _trainer(config: SFTTrainingConfig) -> tuple[Any, Any]:
    """The trainer's class and its configuration."""
    from trl import SFTConfig, SFTTrainer

    class Trainer(LengthGrouped, SFTTrainer):  # type: ignore[misc]  # TRL has no types
        pass

    varlen = has_flash_attention()
    packing = varlen if config.packing is None else config.packing
    padding_free = varlen if config.padding_free is None else config.padding_free
    trl_config = SFTConfig(
        **arguments(config),
        max_length=config.max_length if packing else None,
        packing=packing,
        padding_free=padding_free,
        eval_packing=False,
        shuffle_dataset=packing,
    )
    return Trainer, trl_config
