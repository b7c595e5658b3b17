"""The pace of the last run: a hint that helps a plan and never harms a run."""

import pytest

from engine.runs.run import Progress
from engine.runs.throughput import expected_seconds, remember_throughput
from engine.storage.cached_generator import CallCounts


def progress(tokens, seconds=10.0, total=1, done=1, half_done=0.0, resumed=0):
    return Progress(
        total=total,
        done=done,
        half_done=half_done,
        resumed=resumed,
        totals={},
        seconds=seconds,
        starting=0.0,
        counts=CallCounts(generated_requests=1, completion_tokens=tokens),
        started=True,
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_last_runs_pace_foretells_the_next(cache):
    assert expected_seconds("m", 100) is None
    remember_throughput("m", 1000, 10.0)
    assert expected_seconds("m", 500) == 5.0
    remember_throughput("m", 20, 10.0)
    assert expected_seconds("m", 500) == 5.0


@pytest.mark.parametrize("text", ["[]", "5", "{", '{"m": "fast"}'])
def test_a_damaged_file_is_forgotten(cache, text):
    cache.mkdir()
    (cache / "throughput.json").write_text(text, encoding="utf-8")
    assert expected_seconds("m", 500) is None
    remember_throughput("m", 1000, 10.0)
    assert expected_seconds("m", 500) == 5.0


def test_a_cache_that_cannot_be_written_is_no_error(cache):
    cache.write_text("a file where the folder should be", encoding="utf-8")
    remember_throughput("m", 1000, 10.0)
    assert expected_seconds("m", 500) is None


def test_the_time_left_counts_what_is_half_done():
    assert progress(1, total=100, done=4).seconds_left is None
    assert progress(1, total=100, done=10).seconds_left == 90
    assert progress(1, total=100, done=10, half_done=40.0).seconds_left == 10
    assert progress(1, total=100, done=60, resumed=50, half_done=10.0).seconds_left == 15
    assert progress(1, 97.5, total=100, done=95, half_done=6.0).seconds_left == 2.5
    assert progress(1, 97.5, total=100, done=100, half_done=6.0).seconds_left == 0
