"""Kahneman-Tversky optimization (Ethayarajh et al. 2024, arXiv 2402.01306), on TRL's KTOTrainer.

An answer is good or bad by itself, so no pairs are needed. Rows with `chosen` and `rejected` are two
answers each. How far the policy is from its reference is estimated from answers given to the prompt of
their neighbour (section 4.1 there), so batches are drawn once, and keep their order in every epoch.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from training.trainers.config import KTOTrainingConfig
from training.trainers.dpo import reference_model
from training.trainers.fit import arguments
from training.trainers.held_out import CountedEvaluation
from training.trainers.rows_trainer import LengthGroupedSampler, Method, Setup, train_on_rows
from training.trainers.soft_labels import SoftLabelKTO, with_labels
from training.trainers.tokenized import unpaired_tokens

__all__ = ["run"]


def _setup(config: KTOTrainingConfig, tokenizer: Any, weighted: bool = False) -> Setup:
    from trl import KTOConfig, KTOTrainer
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    class Tokenized(CountedEvaluation, KTOTrainer):
        lengths: Any = None  # batches are drawn here, not by a sampler

        def _prepare_dataset(self, dataset: Any, _tokenizer: Any, args: Any, name: str) -> Any:
            batch = args.per_device_train_batch_size
            if name == "train":
                self.desirable_weight = _desirable_weight(config, dataset["label"])
                lengths = list(map(_length, dataset))
                dataset = dataset.select(list(LengthGroupedSampler(lengths, batch, args.seed)))
            return dataset.map(_with_neighbours, batched=True, batch_size=batch)

        def create_model_card(self, *_: Any, **__: Any) -> None:
            """None beside checkpoints: the finished model gets ours."""

    class Soft(SoftLabelKTO, Tokenized):
        pass

    trl_config = KTOConfig(
        **arguments(config),
        max_length=None,
        beta=config.beta,
        undesirable_weight=config.undesirable_weight,
        precompute_ref_log_probs=config.precompute_reference,
    )
    collate = DataCollatorForUnpairedPreference(pad_token_id=tokenizer.pad_token_id)
    own_loss = config.soft_labels or weighted
    options = {
        "ref_model": reference_model(config, tokenizer),
        "data_collator": with_labels(collate, config.soft_labels) if own_loss else collate,
    }
    trainer = Soft if own_loss else Tokenized
    return Setup(trainer, trl_config, options, packed=True, measure_before=False)


def _length(row: Mapping[str, Any]) -> int:
    return len(row["prompt_ids"]) + len(row["completion_ids"])


def _with_neighbours(batch: dict[str, Any]) -> dict[str, Any]:
    """Each answer of a batch also as the answer to the next prompt, for the estimate of the KL."""
    answers = batch["completion_ids"]
    return {**batch, "KL_completion_ids": [answers[-1], *answers[:-1]]}


def _desirable_weight(config: KTOTrainingConfig, labels: list[bool]) -> float:
    """By itself what makes good and bad answers count the same (equation 8 of the paper, at 1)."""
    if config.desirable_weight is not None:
        return config.desirable_weight
    good = sum(labels)
    bad = len(labels) - good
    return config.undesirable_weight * bad / good if good and bad else config.undesirable_weight


_METHOD = Method(
    "kto", "unpaired", unpaired_tokens, _setup, weighted=partial(_setup, weighted=True)
)
run = partial(train_on_rows, _METHOD)
"""Train on good and bad answers, by a KTOTrainingConfig, as `train_on_rows` does."""
