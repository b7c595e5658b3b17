"""What a judge did with a principle's tests, in words that are true."""

import pytest

from constitution.schema import Principle
from engine.judging import principle_tests
from engine.judging.records import Preference

KIND = Principle(id="kind", statement="The assistant is kind to everybody.")


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([(0.8, 0.2)], ""),
        ([(0.8, 0.2), (0.3, 0.7)], "the violating answer"),
        ([(0.6, 0.55)], "the place shown first"),
        ([(0.5, 0.6)], "the place shown first"),
        ([(0.45, 0.4)], "the place shown last"),
        ([(0.5, 0.5)], "neither"),
    ],
)
def test_a_small_bias_is_not_told_as_a_preference_for_the_violating_answer(pairs, told):
    preferences = tuple(
        Preference(principle="kind", principle_hash="0a", method="pairwise", answers=pair)
        for pair in pairs
    )
    result = principle_tests.TestResult(KIND, 1, (0.9,) * len(pairs), (0.1,), preferences)
    assert result.told == (f"asked which is better, the judge prefers {told}" if told else "")
    assert result.preferred is not bool(told)
