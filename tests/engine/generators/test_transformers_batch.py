from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from engine.generators.base import Sampling
from engine.generators.transformers_batch import BatchRow, generate_batch

PROBABILITIES = (0.1, 0.5, 0.25, 0.15)


class FixedModel:
    """Gives every token `PROBABILITIES`, and counts the rows of each step."""

    device = "cpu"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> SimpleNamespace:
        import torch

        self.sizes.append(len(input_ids))
        assert len(attention_mask) == len(input_ids)
        logits = torch.tensor(PROBABILITIES).log().expand(len(input_ids), 1, -1)
        return SimpleNamespace(logits=logits, past_key_values=self)

    __call__ = forward

    def batch_select_indices(self, indices: Any) -> None:
        assert len(indices) < self.sizes[-1]


def first_tokens(sampling: Sampling, eos: frozenset[int] = frozenset()) -> dict[int, float]:
    rows = [BatchRow([1], sampling, seed) for seed in range(4000)]
    generate_batch(FixedModel(), rows, eos, 0)
    counts = Counter(row.generated[0] for row in rows)
    return {token: count / len(rows) for token, count in sorted(counts.items())}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"temperature": 1.0}, {0: 0.1, 1: 0.5, 2: 0.25, 3: 0.15}),
        ({"temperature": 1.0, "top_p": 0.7}, {1: 2 / 3, 2: 1 / 3}),
        ({"temperature": 0.5}, {0: 0.01 / 0.345, 1: 0.25 / 0.345, 2: 0.0625 / 0.345, 3: 0.0652}),
        ({"temperature": 0.0}, {1: 1.0}),
        ({"top_p": 1e-6}, {1: 1.0}),
    ],
)
def test_tokens_are_drawn_with_the_stated_probabilities(changes, expected):
    seen = first_tokens(Sampling(max_tokens=1, **changes))
    assert seen == pytest.approx(expected, abs=0.03)


@pytest.mark.slow
def test_an_end_before_min_tokens_is_never_drawn():
    seen = first_tokens(Sampling(max_tokens=3, min_tokens=1, temperature=1.0), frozenset({1}))
    assert seen == pytest.approx({0: 0.2, 2: 0.5, 3: 0.3}, abs=0.03)


@pytest.mark.slow
def test_masses_are_sums_over_each_candidates_tokens():
    row = BatchRow([1], Sampling(max_tokens=1, temperature=0.0), candidates=((0, 1), (3,)))
    generate_batch(FixedModel(), [row], frozenset(), 0)
    assert row.masses == pytest.approx((0.6, 0.15))


@pytest.mark.slow
def test_a_row_that_is_done_leaves_the_batch():
    model = FixedModel()
    rows = [BatchRow([1] * length, Sampling(max_tokens=length)) for length in (3, 1, 2)]
    generate_batch(model, rows, frozenset(), 0)
    assert model.sizes == [3, 2, 1]
    assert [len(row.generated) for row in rows] == [3, 1, 2]
