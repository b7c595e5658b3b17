"""The arithmetic of PPO against sums written down by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.trainers.advantages import AdaptiveKL

torch = pytest.importorskip("torch")


def here(sums):
    return torch.stack([each.float() for each in sums])


def test_advantages_are_equation_16_of_schulman():
    """Two answers, of three tokens and of one: discount 0.9, lambda 0.8, so 0.72 for each token further."""
    from training.trainers.advantages import advantages_of

    rewards = torch.tensor([[0.0, -0.1, 1.0], [2.0, 0.0, 0.0]])
    values = torch.tensor([[0.5, 0.6, 0.7], [1.5, 9.0, 9.0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    found = advantages_of(rewards, values, mask, discount=0.9, gae_lambda=0.8)
    third = 1.0 - 0.7
    second = (-0.1 + 0.9 * 0.7 - 0.6) + 0.72 * third
    first = (0.0 + 0.9 * 0.6 - 0.5) + 0.72 * second
    torch.testing.assert_close(found, torch.tensor([[first, second, third], [0.5, 0.0, 0.0]]))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=6))
def test_lambda_goes_from_one_step_to_all_that_was_earned(tokens):
    """Section 3 there: with 1 the advantage is what is earned from here on less the value, with 0 the
    temporal difference alone."""
    from training.trainers.advantages import advantages_of

    rewards, values = (torch.tensor([column]) for column in zip(*tokens, strict=True))
    mask, after = torch.ones_like(rewards), [*values[0, 1:].tolist(), 0.0]
    all_of_it = advantages_of(rewards, values, mask, discount=1.0, gae_lambda=1.0)[0]
    one_step = advantages_of(rewards, values, mask, discount=1.0, gae_lambda=0.0)[0]
    for token, (_, value) in enumerate(tokens):
        earned = sum(reward for reward, _ in tokens[token:])
        assert all_of_it[token].item() == pytest.approx(earned - value, abs=1e-5)
        step = tokens[token][0] + after[token] - value
        assert one_step[token].item() == pytest.approx(step, abs=1e-5)


def test_tokens_are_charged_their_kl_and_the_last_one_is_paid():
    from training.trainers.advantages import token_rewards

    kl = torch.tensor([[0.5, -0.25, 7.0], [1.0, 2.0, 3.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    rewards = torch.tensor([1.0, -2.0])
    each = token_rewards(rewards, kl, mask, beta=0.1)
    torch.testing.assert_close(each, torch.tensor([[-0.05, 1.025, 0.0], [-0.1, -0.2, -2.3]]))
    whole = token_rewards(rewards, kl, mask, beta=0.1, at_end=True)
    torch.testing.assert_close(whole, torch.tensor([[0.0, 0.975, 0.0], [0.0, 0.0, -2.6]]))


def test_a_value_counts_no_better_for_going_further_than_the_clip():
    from training.trainers.advantages import value_losses

    values = torch.tensor([0.1, 0.9, 0.9, -0.5], requires_grad=True)
    old, returns = torch.zeros(4), torch.tensor([1.0, 1.0, 0.0, 1.0])
    found = value_losses(values, old, returns, 0.2)
    # Within the clip; too far towards the return; too far past it; away from it.
    wanted = [0.5 * 0.9**2, 0.5 * 0.8**2, 0.5 * 0.9**2, 0.5 * 1.5**2]
    torch.testing.assert_close(found, torch.tensor(wanted))
    found.sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([-0.9, 0.0, 0.9, -1.5]))


def test_whitening_is_over_the_tokens_that_count():
    from training.trainers.advantages import whitened

    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    found = whitened(torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]]), mask, here)
    spread = math.sqrt(1.25)
    wanted = [[-1.5 / spread, -0.5 / spread, 0.0], [0.5 / spread, 1.5 / spread, 0.0]]
    torch.testing.assert_close(found, torch.tensor(wanted))
    nothing = whitened(torch.zeros(1, 2), torch.zeros(1, 2), here)
    assert nothing.tolist() == [[0.0, 0.0]]


def test_the_kl_controller_of_ziegler():
    kl = AdaptiveKL(0.1, target=6.0)
    kl.update(6.6)  # a tenth too much: 0.1 × (1 + 0.1 × 0.1)
    assert kl.beta == pytest.approx(0.101)
    kl.update(60.0)  # clipped at a fifth
    assert kl.beta == pytest.approx(0.101 * 1.02)
    kl.update(0.0)
    assert kl.beta == pytest.approx(0.101 * 1.02 * 0.98)
    fixed = AdaptiveKL(0.1)
    fixed.update(60.0)
    assert fixed.beta == 0.1
