"""A reward model of AI feedback (Bradley and Terry 1952), on TRL's RewardTrainer.

It is reported with its accuracy and calibration on held-out pairs, and with how its rewards go
with length.
"""

from typing import Any

from training.trainers.batches import LengthGrouped
from training.trainers.config import RewardModelConfig
from training.trainers.fit import arguments
from training.trainers.output import TrainingResult
from training.trainers.progress import Report
from training.trainers.reward_report import PairRewards, reward_report
from training.trainers.rows_trainer import Method, Setup, train_on_rows
from training.trainers.soft_labels import SoftLabelReward, with_probability
from training.trainers.tokenized import Tokenized, reward_tokens

__all__ = ["run"]


def run(
    config: RewardModelConfig, *, overwrite: bool = False, report: Report = lambda line: None
) -> TrainingResult:
    """Train on `prompt`, `chosen` and `rejected`, as `train_on_rows` does."""
    method = Method("reward-model", "preference", reward_tokens, "reward")
    return train_on_rows(
        method, config, lambda tokenizer: _setup(config, tokenizer), report, overwrite=overwrite
    )


def _setup(config: RewardModelConfig, tokenizer: Any) -> Setup:
    from trl import RewardConfig, RewardTrainer
    from trl.trainer.reward_trainer import DataCollatorForPreference

    class Hard(LengthGrouped, RewardTrainer):  # type: ignore[misc]  # TRL has no types
        pass

    class Soft(SoftLabelReward, Hard):  # type: ignore[misc]
        pass

    trl_config = RewardConfig(
        **arguments(config),
        max_length=None,
        center_rewards_coefficient=config.center_rewards or None,
    )
    collate = DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id)
    return Setup(
        Soft if config.soft_labels else Hard,
        trl_config,
        {"data_collator": with_probability(collate) if config.soft_labels else collate},
        measure_after=lambda trainer, data: _report(trainer, data, collate),
    )


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
