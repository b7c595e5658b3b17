"""Shards on Ray's workers: the same records, also when a worker dies or everything is interrupted."""

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path

import pytest

from constitution.problems import InputError
from engine.runs.config import AnswerConfig
from engine.runs.finished_shards import finished_shards
from engine.runs.gather import gather_run
from engine.runs.opening import open_inputs, open_run
from engine.runs.ray_shards import RayShards
from engine.runs.ray_worker import ShardJob

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "script.yaml").write_text("delay: 0.2\n", encoding="utf-8")
    rows = [json.dumps({"id": f"p{n}", "prompt": f"Question {n}?"}) for n in range(600)]
    (tmp_path / "p.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return AnswerConfig.model_validate({
        "prompts": {"file": str(tmp_path / "p.jsonl")},
        "out": str(tmp_path / "out"),
        "roles": {"policy": f"scripted:{tmp_path / 'script.yaml'}"},
        "window": 8,
    })


def on_ray(config, on_progress=lambda now: None, shards=4, scratch=None):
    job = ShardJob(config, shards, scratch)
    running = RayShards(job, address=None, gpus=0, workers=2)
    try:
        asyncio.run(running.execute(on_progress))
    finally:
        running.close()
    return running.progress()


def whole(config, tmp_path):
    run = open_run(open_inputs(config), tmp_path / "whole")

    async def work():
        await run.execute()
        await run.close()

    asyncio.run(work())
    return sorted((tmp_path / "whole" / "records.jsonl").read_bytes().splitlines())


def gathered(config):
    out = Path(config.out)
    gather_run(out, finished_shards(out))
    return sorted((out / "records.jsonl").read_bytes().splitlines())


def worker_processes():
    """Of the actors that run now."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (entry / "cmdline").read_bytes().startswith(b"ray::ShardWorker"):
                found.append(int(entry.name))
    return found


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost_or_twice(config, tmp_path):
    killed = []

    def kill_one(now):
        assert len(now.workers) <= 2
        if not killed and any(worker.done > 20 for worker in now.workers):
            killed.append(worker_processes()[0])
            os.kill(killed[0], signal.SIGKILL)

    ended = on_ray(config, kill_one, scratch=str(tmp_path / "scratch"))
    assert killed and (ended.finished, ended.moved) == (4, 1)
    assert gathered(config) == whole(config, tmp_path)


def test_interrupted_it_is_resumed(config, tmp_path):
    def stop(now):
        if any(worker.done > 20 for worker in now.workers):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_ray(config, stop)
    kept = sum(
        len(path.read_bytes().splitlines())
        for path in Path(config.out).glob("shards/*/records.jsonl")
    )
    assert kept > 20
    assert on_ray(config).finished == 4
    assert gathered(config) == whole(config, tmp_path)


def test_wrong_input_ends_it_in_one_line(config):
    on_ray(config, shards=2)
    with pytest.raises(InputError, match="shard was"):
        on_ray(config, shards=3)
