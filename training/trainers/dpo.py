"""Direct preference optimization on AI feedback (Rafailov et al. 2023), on TRL's DPOTrainer.

The reference is the model as it was, asked once before training. With `soft_labels` a pair counts
by how sure the judge was.
"""

import os
from typing import Any

from training.data.rows import read_rows
from training.trainers.batches import LengthGrouped
from training.trainers.config import DPOTrainingConfig
from training.trainers.fit import arguments, fit, identity_of
from training.trainers.models import load_model, load_tokenizer, lora_config, quiet_libraries
from training.trainers.output import Output, TrainingResult
from training.trainers.progress import Report, progress_callback
from training.trainers.soft_labels import SoftLabelDPO, with_probability
from training.trainers.tokenized import preference_tokens, tokenize

__all__ = ["run"]


def run(
    config: DPOTrainingConfig, *, overwrite: bool = False, report: Report = lambda line: None
) -> TrainingResult:
    """Train, or take up an interrupted training; what is complete already is returned as it is.

    Raises InputError for rows, a model or a directory that will not do, before anything is written.
    """
    rows = read_rows(config, "preference")
    output = Output("dpo", config, rows, identity_of(config), overwrite=overwrite)
    if finished := output.find_finished():
        return finished
    quiet_libraries()
    tokenizer = load_tokenizer(config)
    trainer_class, trl_config = _trainer(config)
    with output:
        with trl_config.main_process_first(local=False):
            data = tokenize(
                rows,
                preference_tokens,
                tokenizer,
                config.max_length,
                output.path / "data",
                output.is_main,
            )
        trainer = trainer_class(
            model=load_model(config, tokenizer, "causal"),
            ref_model=_reference(config, tokenizer),
            args=trl_config,
            data_collator=_collator(config, tokenizer),
            train_dataset=data.train,
            eval_dataset=data.test,
            processing_class=tokenizer,
            peft_config=lora_config(config, "causal"),
            callbacks=[progress_callback(output, report)],
        )
        trainer.lengths = data.lengths
        before = config.reference is not None  # else all margins are 0 and the loss is log 2
        return fit(trainer, output, data, tokenizer, report, measure_before=before)


def _trainer(config: DPOTrainingConfig) -> tuple[Any, Any]:
    """The trainer's class and its configuration."""
    from trl import DPOConfig, DPOTrainer

    class Tokenized(LengthGrouped, DPOTrainer):  # type: ignore[misc]  # TRL has no types
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # it is tokens already

    class Soft(SoftLabelDPO, Tokenized):  # type: ignore[misc]
        pass

    trl_config = DPOConfig(
        **arguments(config),
        max_length=None,
        beta=config.beta,
        loss_type=["sigmoid"],
        loss_weights=[0.0 if config.soft_labels else 1.0],
        precompute_ref_log_probs=config.precompute_reference,
    )
    return Soft if config.soft_labels else Tokenized, trl_config


def _reference(config: DPOTrainingConfig, tokenizer: Any) -> Any:
    """A model of its own, where neither switching the adapter off nor asking beforehand will do.

    FSDP shards the model only when training begins, so it cannot be asked before.
    """
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    asked_before = config.precompute_reference and not sharded
    if config.reference is None and (config.lora or asked_before):
        return None
    return load_model(config, tokenizer, "causal", config.reference)


def _collator(config: DPOTrainingConfig, tokenizer: Any) -> Any:
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    collate = DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id)
    return with_probability(collate) if config.soft_labels else collate
