"""Killed at any moment and run again: the same records, none lost, none twice."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from engine.generators.base import Completion
from engine.storage.completion_cache import CompletionCache
from engine.storage.jsonl import read_jsonl
from tests.engine import run_worker


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [{"id": f"p{row}", "prompt": f"Question {row}?"} for row in range(400)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def start(out, prompts, log, delay, kind):
    arguments = [sys.executable, "-m", "tests.engine.run_worker", out, prompts, log, delay, kind]
    return subprocess.Popen([str(a) for a in arguments])


def records(out):
    return {row["id"]: row for row in read_jsonl(out / "records.jsonl")}


def known_keys(out, log):
    """Logged keys whose completion the cache already holds."""
    path = out / "completions.sqlite"
    if not path.exists() or not log.exists():
        return set()
    keys = set(log.read_text(encoding="utf-8").split())
    with CompletionCache(path) as cache:
        return {key for key in keys if cache.get(bytes.fromhex(key), Completion)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "kills_to_survive"), [("revise", 25), ("label", 5), ("answer", 5)]
)
def test_killed_at_random_moments_it_ends_as_if_it_never_was(
    tmp_path, prompts, kind, kills_to_survive
):
    draw = random.Random(7)
    out, whole = tmp_path / "killed", tmp_path / "whole"
    assert start(whole, prompts, tmp_path / "log", 0, kind).wait() == 0
    kills = 0
    while kills < kills_to_survive:
        log = tmp_path / f"log-{kills}"
        known = known_keys(out, tmp_path / f"log-{kills - 1}") if kills else set()
        process = start(out, prompts, log, 0.1, kind)
        wait_for_log(log, process, draw.randint(1, 25))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
        assert not known & set(log.read_text(encoding="utf-8").split())
        kills += 1
    finished_before = set(records(out))
    assert start(out, prompts, tmp_path / "last", 0, kind).wait() == 0
    assert finished_before < set(records(out))
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 400
    assert records(out) == records(whole)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["complete"]


def wait_for_log(log, process, lines):
    """Until so many requests were made, however long that takes on this machine."""
    while not log.exists() or log.read_bytes().count(b"\n") < lines:
        assert process.poll() is None
        time.sleep(0.005)


def test_a_torn_last_record_is_made_again(tmp_path, prompts):
    out = tmp_path / "run"
    run_worker.main(str(out), str(prompts), str(tmp_path / "log"), "0")
    before = records(out)
    path = out / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    run_worker.main(str(out), str(prompts), str(tmp_path / "log2"), "0")
    assert records(out) == before
    assert (tmp_path / "log2").read_text(encoding="utf-8") == ""
