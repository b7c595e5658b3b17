"""The value function of PPO: what the rest of an answer is expected to earn, for each token before it."""

from typing import Any

from constitution.problems import InputError, Problem
from engine.generators.model_files import local_name
from training.trainers.config import PPOTrainingConfig
from training.trainers.lora import lora_config
from training.trainers.models import load_model, load_tokenizer, told

__all__ = ["check_value_model", "value_function"]


def check_value_model(config: PPOTrainingConfig) -> None:
    """Raise InputError where a value model cannot read what the policy writes: it has another tokenizer."""
    from transformers import AutoTokenizer

    if config.value_model is None:
        return
    with told(config.value_model):
        own = AutoTokenizer.from_pretrained(local_name(config.value_model))
    if own.get_vocab() != load_tokenizer(config).get_vocab():
        remedy = "name a reward model that was trained from the same base, or take value_model out"
        raise InputError(
            Problem(f"value_model {config.value_model}", "has another tokenizer", remedy)
        )


def value_function(
    config: PPOTrainingConfig, policy: Any, tokenizer: Any, checkpointing: bool = False
) -> Any:
    """A module that gives values of shape (answers, tokens) for token ids, their attention mask and the
    policy's last hidden states, of shape (answers, tokens, width).

    A linear head on these, which says 0 at first; or the reward model that `value_model` names, read at each
    token instead of the last, with activations recomputed where `checkpointing` says so.
    """
    if config.value_model is None:
        return _head(policy.config.get_text_config().hidden_size)
    model = load_model(config, tokenizer, "reward", config.value_model)
    if config.lora is not None:
        from peft import get_peft_model

        model = get_peft_model(model, lora_config(config, "reward"))
    if checkpointing:
        model.gradient_checkpointing_enable()
        model.train()  # otherwise its layers keep everything
    return _started_from(model)


def _head(width: int) -> Any:
    import torch

    class ValueHead(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(width, 1)
            torch.nn.init.zeros_(self.linear.weight)
            torch.nn.init.zeros_(self.linear.bias)

        def forward(self, ids: Any, attended: Any, hidden: Any) -> Any:
            with torch.autocast(hidden.device.type, enabled=False):
                return self.linear(hidden.float()).squeeze(-1)

    return ValueHead()


def _started_from(reward_model: Any) -> Any:
    import torch

    class ValueModel(torch.nn.Module):
        """A reward model scores every token, and then returns the last one's score."""

        def __init__(self) -> None:
            super().__init__()
            self.model = reward_model

        def forward(self, ids: Any, attended: Any, hidden: Any) -> Any:
            scores: list[Any] = []
            base = (
                self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
            )
            hook = base.score.register_forward_hook(lambda *given: scores.append(given[-1]))
            try:
                self.model(input_ids=ids, attention_mask=attended, use_cache=False)
            finally:
                hook.remove()
            return scores[0].squeeze(-1).float()

    return ValueModel()
