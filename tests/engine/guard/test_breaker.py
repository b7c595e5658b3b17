"""When the guard stops, and that only a person makes it answer again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from constitution.schema import Severity
from engine.guard.breaker import Breaker, read_rules
from engine.guard.settings import GuardSettings

LOW, HIGH, CRITICAL = Severity.LOW, Severity.HIGH, Severity.CRITICAL


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_rules_are_read():
    first, second = read_rules("critical>2/5min, high > 10 / 1h")
    assert (first.severity, first.most, first.seconds) == (CRITICAL, 2, 300)
    assert (second.severity, second.most, second.seconds) == (HIGH, 10, 3600)


@pytest.mark.parametrize("text", ["critical", "worst>2/5min", "critical>2/0s", "critical>2/5d", ""])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match="critical>2/5min"):
        GuardSettings(breaker=text)


def test_it_opens_at_more_than_so_many_in_the_time(tmp_path):
    clock = Clock()
    breaker = Breaker(tmp_path, read_rules("critical>2/5min"), clock=clock)
    for _ in range(2):
        assert breaker.note(CRITICAL) is None
    clock.now += 301
    for _ in range(2):
        assert breaker.note(CRITICAL) is None
        assert breaker.note(HIGH) is None, "a lesser one does not count"
    assert breaker.why() is None
    assert breaker.note(CRITICAL) == breaker.why() != ""


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 40), st.sampled_from([LOW, HIGH, CRITICAL])), max_size=60))
def test_it_is_open_exactly_once_a_window_held_too_many(tmp_path_factory, steps):
    clock, at, open_ = Clock(), [], False
    breaker = Breaker(tmp_path_factory.mktemp("b"), read_rules("high>3/60s"), clock=clock)
    for pause, severity in steps:
        clock.now += pause
        at += [clock.now] if severity in (HIGH, CRITICAL) else []
        open_ = open_ or sum(one >= clock.now - 60 for one in at) > 3
        breaker.note(severity)
        assert (breaker.why() is not None) == open_


def test_it_stays_open_in_the_next_process_until_it_is_closed(tmp_path):
    Breaker(tmp_path).open("enough")
    assert Breaker(tmp_path).why() == "enough"
    Breaker(tmp_path).close("ann")
    assert Breaker(tmp_path).why() is None


def test_what_was_broken_before_this_process_counts(tmp_path):
    earlier = [(990.0, CRITICAL), (995.0, CRITICAL)]
    breaker = Breaker(tmp_path, read_rules("critical>2/5min"), earlier=earlier, clock=Clock())
    assert breaker.note(CRITICAL)


def test_the_file_stops_it_and_its_removal_does_not_start_it(tmp_path):
    breaker = Breaker(tmp_path)
    assert breaker.why() is None
    (tmp_path / "STOP").touch()
    assert "STOP" in breaker.why()
    with pytest.raises(InputError, match="delete it"):
        breaker.close("ann")
    (tmp_path / "STOP").unlink()
    assert "STOP" in Breaker(tmp_path).why()
    breaker.close("ann")
    assert breaker.why() is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"open": "no"}'])
def test_a_state_that_cannot_be_read_counts_as_open(tmp_path, content):
    (tmp_path / "breaker.json").write_text(content, encoding="utf-8")
    assert Breaker(tmp_path).why() == "breaker.json cannot be read"
