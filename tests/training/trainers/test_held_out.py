"""Held-out rows are dealt out so that each counts once, however many processes there are."""

from hypothesis import given
from hypothesis import strategies as st

from training.trainers.held_out import shares


@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 5))
def test_every_row_counts_once_and_every_process_has_as_many_batches(rows, size, world):
    dealt = [list(shares(rows, size, rank, world)) for rank in range(world)]
    counted = [0.0] * rows
    for batches in dealt:
        for batch, worth in batches:
            assert 1 <= len(batch) <= size
            for row in batch:
                counted[row] += worth
    assert all(abs(count - 1) < 1e-9 for count in counted)
    lengths = {tuple(len(batch) for batch, _ in batches) for batches in dealt}
    assert len(lengths) == 1
