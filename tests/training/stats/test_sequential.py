"""A doubled rate is found within three days, and stable ones are left alone."""

import random
import sys

import pytest

from constitution.problems import InputError
from training.stats.sequential import Day, Rise, rise_since

PRINCIPLES, PER_DAY, RATE, BASELINE = 8, 200, 0.1, 7
"""Eight principles are watched, each broken by one answer in ten, of 200 judged a day."""


def drawn(chance, rate):
    return Day(sum(chance.random() < rate for _ in range(PER_DAY)), PER_DAY)


def watched(chance, rate):
    """Two weeks of one principle, broken at `rate` from the eighth day on."""
    before = [drawn(chance, RATE) for _ in range(BASELINE)]
    baseline = Day(sum(day.hits for day in before), sum(day.trials for day in before))
    days = [drawn(chance, rate) for _ in range(BASELINE)]
    return rise_since(baseline, days, alpha=0.05 / PRINCIPLES)


def test_of_100_drifts_95_are_alarmed_by_the_tenth_day():
    rises = [watched(random.Random(seed), 2 * RATE) for seed in range(100)]
    assert sum(rise.alarm is not None and rise.alarm <= 2 for rise in rises) >= 95


def test_of_100_stable_fortnights_at_most_5_are_alarmed():
    fortnights = (
        [watched(chance, RATE) for _ in range(PRINCIPLES)]
        for chance in map(random.Random, range(100))
    )
    alarmed = sum(any(rise.alarm is not None for rise in rises) for rises in fortnights)
    assert alarmed <= 5


def test_a_rate_that_falls_is_no_alarm():
    assert rise_since(Day(100, 1000), [Day(1, 100)] * 10).alarm is None


def test_the_day_of_the_rise_is_told():
    rise = rise_since(Day(140, 1400), [*[Day(20, 200)] * 4, *[Day(60, 200)] * 3])
    assert (rise.alarm, rise.since) == (4, 4)


@pytest.mark.parametrize("baseline", [Day(0, 50), Day(50, 50)])
def test_a_baseline_of_nothing_or_everything_is_taken(baseline):
    rise = rise_since(baseline, [baseline] * 5)
    assert rise.alarm is None


def test_days_without_answers_say_nothing():
    assert rise_since(Day(5, 50), [Day(0, 0)] * 3) == Rise()
    assert rise_since(Day(5, 50), []) == Rise()


def test_a_first_breach_after_none_in_many_is_weighed_by_how_many():
    assert rise_since(Day(0, 10_000), [Day(5, 100)]).alarm == 0
    assert rise_since(Day(0, 20), [Day(1, 100)]).alarm is None


def test_without_scipy_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(
        InputError, match=r"needs scipy, which is missing; pip install 'solon\[eval"
    ):
        rise_since(Day(1, 10), [Day(1, 10)])
