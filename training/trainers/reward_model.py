"""A reward model of AI feedback (Bradley and Terry 1952), on TRL's RewardTrainer.

It is reported with its accuracy and calibration on held-out pairs, and with how its rewards go
with length.
"""

from typing import Any

from training.data.rows import read_rows
from training.trainers.batches import LengthGrouped
from training.trainers.config import RewardModelConfig
from training.trainers.fit import arguments, fit, identity_of
from training.trainers.models import load_model, load_tokenizer, lora_config, quiet_libraries
from training.trainers.output import Output, TrainingResult
from training.trainers.progress import Report, progress_callback
from training.trainers.reward_report import PairRewards, reward_report
from training.trainers.soft_labels import SoftLabelReward, with_probability
from training.trainers.tokenized import Tokenized, reward_tokens, tokenize

__all__ = ["run"]


def run(
    config: RewardModelConfig, *, overwrite: bool = False, report: Report = lambda line: None
) -> TrainingResult:
    """Train, or take up an interrupted training; what is complete already is returned as it is.

    Raises InputError for rows, a model or a directory that will not do, before anything is written.
    """
    rows = read_rows(config, "preference")
    output = Output("reward-model", config, rows, identity_of(config), overwrite=overwrite)
    if finished := output.find_finished():
        return finished
    quiet_libraries()
    tokenizer = load_tokenizer(config)
    trainer_class, trl_config = _trainer(config)
    with output:
        with trl_config.main_process_first(local=False):
            folder = output.path / "data"
            data = tokenize(
                rows, reward_tokens, tokenizer, config.max_length, folder, output.is_main
            )
        collate = _collator(tokenizer)
        trainer = trainer_class(
            model=load_model(config, tokenizer, "reward"),
            args=trl_config,
            data_collator=with_probability(collate) if config.soft_labels else collate,
            train_dataset=data.train,
            eval_dataset=data.test,
            processing_class=tokenizer,
            peft_config=lora_config(config, "reward"),
            callbacks=[progress_callback(output, report)],
        )
        trainer.lengths = data.lengths
        return fit(
            trainer,
            output,
            data,
            tokenizer,
            report,
            measure_after=lambda it: _report(it, data, collate),
        )


def _trainer(config: RewardModelConfig) -> tuple[Any, Any]:
    """The trainer's class and its configuration."""
    from trl import RewardConfig, RewardTrainer

    class Hard(LengthGrouped, RewardTrainer):  # type: ignore[misc]  # TRL has no types
        pass

    class Soft(SoftLabelReward, Hard):  # type: ignore[misc]
        pass

    trl_config = RewardConfig(
        **arguments(config),
        max_length=None,
        center_rewards_coefficient=config.center_rewards or None,
    )
    return Soft if config.soft_labels else Hard, trl_config


def _collator(tokenizer: Any) -> Any:
    from trl.trainer.reward_trainer import DataCollatorForPreference

    return DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id)


def _report(trainer: Any, data: Tokenized, collate: Any) -> dict[str, Any]:
    """The report on held-out pairs; every process computes all of it, as a sharded model demands."""
    import torch

    if data.test is None:
        return {}
    chosen: list[float] = []
    rejected: list[float] = []
    model, size = trainer.model_wrapped.eval(), trainer.args.per_device_eval_batch_size
    for start in range(0, len(data.test), size):
        rows = data.test.select(range(start, min(start + size, len(data.test)))).to_list()
        batch = {k: v.to(trainer.args.device) for k, v in collate(rows).items()}
        with torch.no_grad(), trainer.accelerator.autocast():
            first, second = model(**batch, use_cache=False).logits.squeeze(-1).float().chunk(2)
        chosen += first.tolist()
        rejected += second.tolist()
    columns = {n: list(data.test[n]) for n in ("probability", "chosen_length", "rejected_length")}
    pairs = [PairRewards(*pair) for pair in zip(chosen, rejected, *columns.values(), strict=True)]
    return {"held_out_pairs": reward_report(pairs)}
