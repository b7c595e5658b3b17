"""Direct preference optimization on AI feedback (Rafailov et al. 2023), on TRL's DPOTrainer.

The reference is the model as it was, asked once before training. With `soft_labels` a pair counts
by how sure the judge was.
"""

import os
from functools import partial
from typing import Any

from training.trainers.config import DPOTrainingConfig, ReferenceTrainingConfig
from training.trainers.fit import arguments
from training.trainers.models import load_model
from training.trainers.rows_trainer import LengthGrouped, Method, Setup, train_on_rows
from training.trainers.soft_labels import SoftLabelDPO, with_labels
from training.trainers.tokenized import preference_tokens

__all__ = ["reference_model", "run"]


def _setup(config: DPOTrainingConfig, tokenizer: Any, weighted: bool = False) -> Setup:
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    class Tokenized(LengthGrouped, DPOTrainer):  # type: ignore[misc]  # TRL has no types
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset  # it is tokens already

    class Soft(SoftLabelDPO, Tokenized):  # type: ignore[misc]
        pass

    own_loss = config.soft_labels or weighted
    trl_config = DPOConfig(
        **arguments(config),
        max_length=None,
        beta=config.beta,
        **_loss(config, own_loss),
        precompute_ref_log_probs=config.precompute_reference,
    )
    collate = DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id)
    options = {
        "ref_model": reference_model(config, tokenizer),
        "data_collator": with_labels(collate, config.soft_labels) if own_loss else collate,
    }
    # Of the model against itself all margins are 0 before, and the loss log 2.
    measured = config.reference is not None
    trainer = Soft if own_loss else Tokenized
    return Setup(trainer, trl_config, options, measure_before=measured)


def _loss(config: DPOTrainingConfig, own_loss: bool) -> dict[str, Any]:
    """TRL's arguments; the loss of soft labels is ours, in the place of its own."""
    name = "sigmoid_norm" if config.length_normalised else config.loss_type
    losses: dict[str, float] = {name: 0.0 if own_loss else 1.0}
    if config.sft_weight:
        losses["sft"] = config.sft_weight
    return {
        "loss_type": list(losses),
        "loss_weights": list(losses.values()),
        "label_smoothing": config.label_smoothing,
    }


def reference_model(config: ReferenceTrainingConfig, tokenizer: Any) -> Any:
    """A model of its own, where neither switching the adapter off nor asking beforehand will do.

    FSDP shards the model only when training begins, so it cannot be asked before.
    """
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    asked_before = config.precompute_reference and not sharded
    if config.reference is None and (config.lora or asked_before):
        return None
    return load_model(config, tokenizer, "causal", config.reference)


_weighted = partial(_setup, weighted=True)
_METHOD = Method("dpo", "preference", preference_tokens, _setup, weighted=_weighted)
run = partial(train_on_rows, _METHOD)
"""Train on `prompt`, `chosen` and `rejected`, by a DPOTrainingConfig, as `train_on_rows` does."""
