"""Supervised fine-tuning on revised answers (Bai et al. 2022, section 3), on TRL's SFTTrainer.

The loss is on the answer's tokens only. Rows are never cut: what is longer than `max_length` is
left out and counted.
"""

from functools import partial

from training.trainers.attention import keeps_rows_apart
from training.trainers.config import SFTTrainingConfig
from training.trainers.fit import arguments
from training.trainers.output import TrainingResult
from training.trainers.progress import Report
from training.trainers.rows_trainer import LengthGrouped, Method, Setup, train_on_rows
from training.trainers.tokenized import sft_tokens

__all__ = ["run"]


def _setup(config: SFTTrainingConfig, _tokenizer: object) -> Setup:
    from trl import SFTConfig, SFTTrainer

    class Trainer(LengthGrouped, SFTTrainer):  # type: ignore[misc]  # TRL has no types
        pass

    varlen = keeps_rows_apart(config)
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
    return Setup(Trainer, trl_config, packed=packing)


def run(
    config: SFTTrainingConfig, *, overwrite: bool = False, report: Report = lambda line: None
) -> TrainingResult:
    """Train on `prompt` and `completion` or on `messages`, as `train_on_rows` does."""
    method = Method("sft", "sft", partial(sft_tokens, turns=config.turns), _setup)
    return train_on_rows(method, config, overwrite=overwrite, report=report)
