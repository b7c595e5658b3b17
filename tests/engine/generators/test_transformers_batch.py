from collections import Counter
from typing import Any

import pytest

from engine.generators.base import Sampling
from engine.generators.transformers_batch import BatchRow, generate_batch

PROBABILITIES = (0.1, 0.5, 0.25, 0.15)


class FixedModel:
    """Gives every token `PROBABILITIES`, by the calls that `generate` makes of its arguments."""

    device = "cpu"

    def generate(
        self, ids: Any, *, logits_processor: Any, stopping_criteria: Any, max_new_tokens: int, **_
    ):
        import torch

        for _step in range(max_new_tokens):
            scores = torch.tensor(PROBABILITIES).log().expand(len(ids), -1)
            forced = logits_processor[0](ids, scores)
            assert bool((forced.softmax(-1).max(-1).values == 1).all())
            if bool(stopping_criteria[0](ids, forced).all()):
                return


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
