"""Simulated replicas: the same figures each time, and fuller where conversations stay on theirs."""

import pytest

from scripts.bench.replicas import Gpu, Setup, simulate

SMALL = Gpu(kv_tokens=16_000)
BEFORE = Setup("before", 8, 1, pinned=False)
COUNTED = Setup("counted", 64, 4, pinned=False)
PINNED = Setup("pinned", 64, 4, pinned=True)


def figures(setup):
    return simulate(setup, conversations=120, replicas=4, gpu=SMALL)


def test_replicas_that_are_counted_are_fuller():
    before, counted = figures(BEFORE), figures(COUNTED)
    assert counted.full > 1.5 * before.full
    assert counted.seconds < 0.7 * before.seconds


def test_conversations_that_stay_find_their_prefix():
    counted, pinned = figures(COUNTED), figures(PINNED)
    assert pinned.hits > 0.7 > counted.hits
    assert pinned.seconds < counted.seconds


def test_a_simulation_repeats():
    assert figures(PINNED) == figures(PINNED)


def test_one_replica_finds_every_prefix_and_is_never_without_work():
    alone = simulate(PINNED._replace(counted=1), conversations=30, replicas=1, gpu=SMALL)
    assert alone.idle == pytest.approx(0, abs=1e-6)
    assert alone.hits > 0.7
