from hypothesis import given
from hypothesis import strategies as st

from training.trainers.rows_trainer import LengthGroupedSampler

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=400)


@given(LENGTHS, st.integers(1, 16), st.integers(0, 5), st.integers(0, 3))
def test_every_row_comes_once_and_in_the_same_order_again(lengths, size, seed, epoch):
    sampler = LengthGroupedSampler(lengths, size, seed)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths))) and len(sampler) == len(order)
    again = LengthGroupedSampler(lengths, size, seed)
    again.set_epoch(epoch)
    assert list(again) == order


def test_epochs_and_seeds_have_orders_of_their_own():
    first, second, other = (LengthGroupedSampler(range(64), 4, seed) for seed in (0, 0, 1))
    second.set_epoch(1)
    assert len({tuple(sampler) for sampler in (first, second, other)}) == 3


def test_batches_hold_rows_of_similar_length():
    lengths = [(7 * row) % 500 for row in range(1000)]
    rows = list(LengthGroupedSampler(lengths, 10, 0))
    spreads = []
    for start in range(0, len(rows), 10):
        batch = [lengths[row] for row in rows[start : start + 10]]
        spreads.append(max(batch) - min(batch))
    assert sum(spreads) / len(spreads) < 20  # of 500 without grouping
    longest = [max(lengths[row] for row in rows[start : start + 10]) for start in (0, 10, 20, 30)]
    assert longest != sorted(longest)  # not from short to long
