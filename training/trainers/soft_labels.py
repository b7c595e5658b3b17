"""Training on the judge's probability instead of its choice, and on pairs that weigh unlike.

For a pair whose first answer the judge prefers with probability p, and a margin m that the model
gives it (of implicit rewards for DPO, of rewards for a reward model), the loss is the cross-entropy
-(p log sigma(m) + (1 - p) log sigma(-m)): for p = 1 that of Rafailov et al. (2023, equation 7) and of
Bradley and Terry (1952). Conservative and robust DPO know one probability for all pairs instead. Where
pairs have weights the loss is the mean of theirs times these, which are 1 in the mean of all pairs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SoftLabelDPO", "SoftLabelKTO", "SoftLabelReward", "soft_label_loss", "with_labels"]

_COLUMN, _WEIGHT = "probability", "weight"
_CLOSE = 1e-5
"""A margin this near to what the judge says (as a probability) is as wanted: what is left is noise
of floating point, which an optimizer that scales by the gradient's size would turn into steps."""


def soft_label_loss(margin: "Tensor", probability: "Tensor") -> "Tensor":
    """The loss of each pair, shape (pairs,), from margins and probabilities of that shape."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    wanted = probability.to(margin.dtype)
    loss = binary_cross_entropy_with_logits(margin, wanted, reduction="none")
    close = (torch.sigmoid(margin) - wanted).abs() < _CLOSE
    return torch.where(close, loss.detach(), loss)


def with_labels(
    collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]], soft: bool
) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]]:
    """A collator that adds `probability` (1 if labels are not `soft`) and `weight`, float32 of shape
    (pairs,), to what `collate` gives."""

    def collated(examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        import torch

        batch = collate(examples)
        probabilities = [e[_COLUMN] if soft else 1.0 for e in examples]
        batch[_COLUMN] = torch.tensor(probabilities, dtype=torch.float32)
        batch[_WEIGHT] = torch.tensor([e[_WEIGHT] for e in examples], dtype=torch.float32)
        return batch

    return collated


class _Observed:
    """A model whose last output can be looked at again."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.output: Any = None

    def __call__(self, **inputs: Any) -> Any:
        self.output = self._model(**inputs)
        return self.output


class _WithColumn:
    """A trainer whose data set keeps the columns of probabilities and weights."""

    def _set_signature_columns_if_needed(self) -> None:
        trainer: Any = self
        parent: Any = super()
        parent._set_signature_columns_if_needed()
        for column in (_COLUMN, _WEIGHT):
            if column not in trainer._signature_columns:
                trainer._signature_columns.append(column)


class SoftLabelDPO(_WithColumn):
    """For TRL's DPOTrainer to inherit from first; its own loss must have weight 0.

    Where the reference's log-probabilities are not precomputed, it is asked twice.
    """

    def compute_ref_log_probs(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """As the parent does; the model is not shown the probability."""
        trainer: Any = super()
        return trainer.compute_ref_log_probs(model, _without_columns(inputs))

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any], return_outputs: bool) -> Any:
        parent: Any = super()
        trainer: Any = self
        observed = _Observed(model)
        rest = parent._compute_loss(observed, _without_columns(inputs), False)
        chosen, rejected = observed.output.log_probs.sum(dim=1).chunk(2)
        if trainer.precompute_ref_logps:
            reference = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        else:
            asked = trainer.ref_model or trainer.model
            reference = trainer.compute_ref_log_probs(asked, inputs)
        scores = chosen - reference[0], rejected - reference[1]
        if "sigmoid_norm" in trainer.loss_types:
            tokens = inputs["completion_mask"].sum(dim=1).clamp(min=1).chunk(2)
            scores = scores[0] / tokens[0], scores[1] / tokens[1]
        margin = trainer.beta * (scores[0] - scores[1])
        loss = rest + (inputs[_WEIGHT] * soft_label_loss(margin, inputs[_COLUMN])).mean()
        return (loss, observed.output) if return_outputs else loss


class SoftLabelKTO(_WithColumn):
    """For TRL's KTOTrainer to inherit from first. Each answer counts its `weight`.

    `probability` is that its label is right. With v the loss of a good answer (Ethayarajh et al. 2024,
    equation 7, less its constant), that of a bad one is 1 - v, so the mean over what the answer may be
    is p v + (1 - p)(1 - v), whose gradient is that of the label, (2p - 1) times.
    """

    def _compute_loss(self, model: Any, inputs: Mapping[str, Any], return_outputs: bool) -> Any:
        parent: Any = super()
        trainer: Any = self
        counts, good = inputs[_WEIGHT] * (2 * inputs[_COLUMN] - 1), inputs["label"].bool()
        weights = trainer.desirable_weight, trainer.undesirable_weight
        trainer.desirable_weight = weights[0] * counts[good]
        trainer.undesirable_weight = weights[1] * counts[~good]
        try:
            return parent._compute_loss(model, _without_columns(inputs), return_outputs)
        finally:
            trainer.desirable_weight, trainer.undesirable_weight = weights

    def compute_ref_log_probs(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """As the parent does; the model is not shown the columns."""
        trainer: Any = super()
        return trainer.compute_ref_log_probs(model, _without_columns(inputs))


class SoftLabelReward(_WithColumn):
    """For TRL's RewardTrainer to inherit from first."""

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The parent's loss is of hard labels that weigh 1: what it lacks is w (1 - p) m, the margin's
        share, and w - 1 times the pair's own. m is the difference of rewards beyond the one that
        people's ratings demand."""
        from torch.nn.functional import softplus

        trainer: Any = super()
        hard, outputs = trainer.compute_loss(
            model, _without_columns(inputs), True, num_items_in_batch
        )
        chosen, rejected = outputs.logits.squeeze(-1).chunk(2)
        margin = chosen - rejected - inputs.get("margin", 0.0)
        weight, wanted = (inputs[name].to(margin.dtype) for name in (_WEIGHT, _COLUMN))
        lacking = (weight - 1) * softplus(-margin) + weight * (1 - wanted) * margin
        loss = hard + lacking.mean()
        return (loss, outputs) if return_outputs else loss


def _without_columns(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if name not in (_COLUMN, _WEIGHT)}
