"""What PPO adds to TRL's GRPOTrainer: values, advantages of tokens, and the KL in the rewards."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from constitution.reading import read_json
from engine.storage.atomic import write_json_atomic
from training.trainers.advantages import (
    AdaptiveKL,
    advantages_of,
    token_rewards,
    value_losses,
    whitened,
)
from training.trainers.config import PPOTrainingConfig
from training.trainers.value_function import value_function

__all__ = ["WithValueFunction"]

_WEIGHTS, _STATE = "value.safetensors", "kl.json"
"""In a checkpoint: what is trained of the value function, and the weight of the KL."""
_HEAD_RATE, _MODEL_RATE = 1e-4, 1e-5
"""Learning rates of a new head and of a value model where none is set and the policy's is lower."""


class WithValueFunction:
    """For TRL's GRPOTrainer to be inherited after: a value function beside the policy, trained by the same
    optimizer, whose advantages take the place of the group's."""

    ppo: PPOTrainingConfig
    accelerator: Any
    args: Any
    model: Any
    optimizer: Any
    ref_model: Any
    _metrics: Any
    current_gradient_accumulation_steps: int

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        trainer: Any = self
        self.beta = 0.0  # with another one TRL would put the KL into the loss
        self.kl = AdaptiveKL(self.ppo.beta, self.ppo.target_kl)
        recomputed = self.args.gradient_checkpointing
        value = value_function(self.ppo, self.model, trainer.processing_class, recomputed)
        self.value = self.accelerator.prepare_model(value)
        trainer.add_callback(_zero_gradients())
        self._values: Any = (
            None  # of the policy's last pass: (answers, tokens of prompt and answer)
        )
        self._rewards: Any = None  # of the last answers of all processes: (answers, 1)

    # The answers of a step ----------------------------------------------------------------------

    def _calculate_rewards(self, *arguments: Any) -> Any:
        parent: Any = super()
        self._rewards = parent._calculate_rewards(*arguments)
        return self._rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        import torch

        parent: Any = super()
        answers = parent._generate_and_score_completions(inputs)
        mask = answers["completion_mask"]
        with torch.no_grad():
            if "old_per_token_logps" not in answers:
                answers["old_per_token_logps"] = self._logps(answers)
            old = answers["old_per_token_logps"]
            values = self._values[:, -mask.size(1) - 1 : -1] * mask
            kl = (old - self._logps(answers, reference=True)) * mask if self.ppo.beta else 0 * old
        scored, advantages = self._advantages(mask, values, kl)
        answers |= {"values": values, "returns": advantages + values, "scored": scored}
        self._note(answers, kl)
        return {**answers, "advantages": whitened(advantages, scored, self._total)}

    def _advantages(self, mask: Any, values: Any, kl: Any) -> tuple[Any, Any]:
        """Which tokens are of answers that have a reward, and the advantages of these."""
        count, first = len(mask), self.accelerator.process_index * len(mask)
        rewards = self._rewards[first : first + count, 0]
        scored = mask * ~rewards.isnan().unsqueeze(1)
        at_end = self.ppo.kl == "answer"
        paid = token_rewards(rewards.nan_to_num(), kl, mask, beta=self.kl.beta, at_end=at_end)
        discount, gae_lambda = self.ppo.discount, self.ppo.gae_lambda
        found = advantages_of(paid, values, mask, discount=discount, gae_lambda=gae_lambda)
        return scored, found * scored

    def _logps(self, answers: dict[str, Any], *, reference: bool = False) -> Any:
        """Log-probabilities of the answers' tokens, of shape (answers, tokens)."""
        from trl.models.utils import disable_gradient_checkpointing

        parent: Any = super()
        kept, size = answers["completion_ids"].size(1), self.args.per_device_train_batch_size
        asked = (_joined(answers, "ids"), _joined(answers, "mask"), kept, size)
        with disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
            if not reference:
                return self._get_per_token_logps_and_entropies(self.model, *asked)[0]
            model = self.ref_model or self.model
            with nullcontext() if self.ref_model else self.model.disable_adapter():
                return parent._get_per_token_logps_and_entropies(model, *asked)[0]

    def _get_per_token_logps_and_entropies(self, *asked: Any, **options: Any) -> Any:
        """Of the policy, with the values of the same pass."""
        import torch

        parent: Any = super()
        values: list[Any] = []

        def note(_: Any, __: Any, given: dict[str, Any], output: Any) -> None:
            ids, attended = given["input_ids"], given["attention_mask"]
            values.append(self.value(ids, attended, output.last_hidden_state))

        adapted = hasattr(self.model, "get_base_model")
        policy = self.model.get_base_model() if adapted else self.model
        hook = policy.base_model.register_forward_hook(note, with_kwargs=True)
        try:
            found = parent._get_per_token_logps_and_entropies(*asked, **options)
        finally:
            hook.remove()
        self._values = torch.cat(values)
        return found

    def _note(self, answers: dict[str, Any], kl: Any) -> None:
        """Log what the answers say of the policy and of the value function, and adapt the KL's weight."""
        mask, scored = answers["completion_mask"], answers["scored"]
        returns, errors = answers["returns"], answers["returns"] - answers["values"]
        sums = [kl.sum(), mask.sum(), (mask.sum(1) > 0).sum(), scored.sum()]
        sums += [(each * scored).sum() for each in (returns, returns**2, errors, errors**2)]
        drift, tokens, count, learned, *moments = self._total(sums).tolist()
        mean, square, missed, missed_square = (each / max(learned, 1.0) for each in moments)
        figures = {"kl": drift / max(tokens, 1), "kl_of_answer": drift / max(count, 1)}
        figures |= {"kl_weight": self.kl.beta, "value": mean - missed}
        if (variance := square - mean**2) > 0:
            left = (missed_square - missed**2) / variance
            figures["explained_variance"] = 1 - left
        for name, figure in figures.items():
            self._metrics[self._mode][name].append(figure)
        if self.model.training:
            self.kl.update(figures["kl_of_answer"])

    def _total(self, sums: list[Any]) -> Any:
        """Over all processes."""
        import torch

        return self.accelerator.reduce(
            torch.stack([each.float() for each in sums]), reduction="sum"
        )

    # Training -----------------------------------------------------------------------------------

    def _compute_loss(self, model: Any, answers: dict[str, Any]) -> Any:
        """TRL's of the policy, and that of the value function over the same tokens."""
        parent: Any = super()
        loss = parent._compute_loss(model, answers)
        scored = answers["scored"]
        values, self._values = self._values[:, -scored.size(1) - 1 : -1], None
        losses = value_losses(values, answers["values"], answers["returns"], self.ppo.value_clip)
        # As TRL's `dapo`: over the tokens of a step, of which this is one part.
        tokens = answers["num_items_in_batch"].clamp(min=1) / self.accelerator.num_processes
        if self.model.training:
            tokens = (
                tokens * self.current_gradient_accumulation_steps / self.args.steps_per_generation
            )
        value_loss = (losses * scored).sum() / tokens
        self._metrics[self._mode]["value_loss"].append(value_loss.item())
        return loss + self.ppo.value_weight * value_loss

    def create_optimizer(self, *arguments: Any) -> Any:
        """The value function is a group of its own."""
        parent: Any = super()
        new = self.optimizer is None
        optimizer = parent.create_optimizer(*arguments)
        if new:
            least = _MODEL_RATE if self.ppo.value_model else _HEAD_RATE
            rate = self.ppo.value_learning_rate or max(self.ppo.learning_rate, least)
            weights = list(self._trained().values())
            optimizer.add_param_group({"params": weights, "lr": rate, "weight_decay": 0.0})
        return optimizer

    def _clip_grad_norm(self, model: Any) -> Any:
        weights = [*model.parameters(), *self.value.parameters()]
        return self.accelerator.clip_grad_norm_(weights, self.args.max_grad_norm)

    # Checkpoints --------------------------------------------------------------------------------

    def _trained(self) -> dict[str, Any]:
        value = self.accelerator.unwrap_model(self.value)
        return {name: each for name, each in value.named_parameters() if each.requires_grad}

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        from safetensors.torch import save_file

        parent: Any = super()
        parent._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            weights = {name: each.detach().contiguous() for name, each in self._trained().items()}
            save_file(weights, str(Path(output_dir) / _WEIGHTS))
            write_json_atomic(Path(output_dir) / _STATE, {"beta": self.kl.beta})

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        from safetensors.torch import load_file

        parent: Any = super()
        parent._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            weights = load_file(str(Path(checkpoint) / _WEIGHTS))
            self.accelerator.unwrap_model(self.value).load_state_dict(weights, strict=False)
            self.kl.beta = float(read_json(Path(checkpoint) / _STATE, dict)["beta"])

    @property
    def _mode(self) -> str:
        return "train" if self.model.training else "eval"


def _joined(answers: dict[str, Any], kind: str) -> Any:
    """Of prompt and answer, shape (answers, tokens of both)."""
    import torch

    return torch.cat([answers[f"prompt_{kind}"], answers[f"completion_{kind}"]], dim=1)


def _zero_gradients() -> Any:
    """The Trainer forgets the gradients of its model alone."""
    from transformers import TrainerCallback

    class ZeroGradients(TrainerCallback):
        def on_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            given["optimizer"].zero_grad()

    return ZeroGradients()
