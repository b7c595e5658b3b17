"""Shares and Wilson's interval; that it covers the truth is in tests/training/stats/test_intervals.py."""

import pytest

from engine.shares import share_estimate, share_of, wilson_interval


@pytest.mark.parametrize(
    ("hits", "count", "interval"),
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.05129 / 29, 0.1718)),
    ],
)
def test_wilsons_interval(hits, count, interval):
    """As Newcombe (1998, Statistics in Medicine 17, table I, method 3) gives it; the last one's lower
    end is the Poisson one of Brown, Cai and DasGupta (2001, section 4.1.1), -log(0.95) / n."""
    assert wilson_interval(hits / count, count) == pytest.approx(interval, abs=1e-4)


def test_without_trials_nothing_is_known():
    assert wilson_interval(0.5, 0) == (0.0, 1.0)


def test_answers_of_one_prompt_that_agree_count_once():
    alone = share_estimate([True, False] * 20)
    twice = share_estimate([True, True, False, False] * 20, [str(n // 2) for n in range(80)])
    assert (twice.value, twice.count) == (0.5, 40)
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high), abs=0.005)


@pytest.mark.parametrize("hits", [0, 1, 7, 40])
def test_counts_have_the_share_of_the_trials_they_count(hits):
    assert share_of(hits, 40) == share_estimate([1.0] * hits + [0.0] * (40 - hits))


@pytest.mark.parametrize(("hits", "trials"), [(0, 0), (5, 4), (-1, 4)])
def test_counts_that_cannot_be_have_no_share(hits, trials):
    assert share_of(hits, trials) is None
