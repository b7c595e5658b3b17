"""The arithmetic of PPO: tokens' rewards, their advantages, the loss of the value function, and the KL
controller.

Everything is of answers padded on the right: shape (answers, tokens), with a `mask` of 1 on the tokens of an
answer and 0 on padding. Token t is the action that the policy takes in the state before it, and `values`
has that state's value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AdaptiveKL", "advantages_of", "token_rewards", "value_losses", "whitened"]

_MOST_ERROR, _GAIN = 0.2, 0.1
"""How far off the KL may count, and how far beta then moves (Ziegler et al. 2019, section 2.2)."""


def token_rewards(
    rewards: "Tensor", kl: "Tensor", mask: "Tensor", *, beta: float, at_end: bool = False
) -> "Tensor":
    """What each token is paid: minus beta times its log(policy / reference), in `kl`, and at the last token
    of an answer its reward, of shape (answers,) (Ouyang et al. 2022, section 3.5).

    With `at_end` the whole answer's KL is taken off there too.
    """
    import torch

    lengths = mask.sum(1).long()
    last = torch.arange(mask.size(1), device=mask.device) == (lengths - 1).unsqueeze(1)
    costs = beta * kl * mask
    if at_end:
        costs = last * costs.sum(1, keepdim=True)
    return last * rewards.unsqueeze(1) - costs


def advantages_of(
    rewards: "Tensor", values: "Tensor", mask: "Tensor", *, discount: float, gae_lambda: float
) -> "Tensor":
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438, equation 16): the sum over k
    of (discount × gae_lambda)^k times the temporal difference k tokens later. After the last token nothing
    is left to gain."""
    import torch

    values = values * mask
    after = torch.nn.functional.pad(values[:, 1:], (0, 1))
    differences = (rewards + discount * after - values) * mask
    found = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    for token in range(values.size(1) - 1, -1, -1):
        running = differences[:, token] + discount * gae_lambda * running
        found[:, token] = running
    return found * mask


def whitened(
    advantages: "Tensor", mask: "Tensor", total: Callable[[list["Tensor"]], "Tensor"]
) -> "Tensor":
    """With mean 0 and standard deviation 1 over the tokens of all answers; `total` sums numbers over
    processes."""
    count, summed = total([mask.sum(), (advantages * mask).sum()])
    count = count.clamp(min=1.0)
    centred = (advantages - summed / count) * mask
    variance = total([centred.square().sum()])[0] / count
    found: Tensor = centred / (variance + 1e-8).sqrt()
    return found


def value_losses(values: "Tensor", old: "Tensor", returns: "Tensor", clip: float) -> "Tensor":
    """Half the squared error of each token's value, or, where that is more, of its value moved no further
    than `clip` from the `old` one: the clipped loss that OpenAI's implementations of PPO have beside the
    clipped policy loss (Schulman et al. 2017, arXiv 1707.06347)."""
    import torch

    near = torch.clamp(values, old - clip, old + clip)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())


@dataclass(slots=True)
class AdaptiveKL:
    """The weight of the KL, and the controller that moves it towards a `target` in nats an answer (Ziegler et
    al. 2019, arXiv 1909.08593, section 2.2); without a target it stays."""

    beta: float
    target: float | None = None

    def update(self, kl: float) -> None:
        """After a batch of answers whose mean KL was `kl`."""
        if self.target is not None:
            error = max(-_MOST_ERROR, min(_MOST_ERROR, kl / self.target - 1))
            self.beta *= 1 + _GAIN * error
