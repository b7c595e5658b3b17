"""Shards on Ray's workers: the same records, also when a worker dies or everything is interrupted."""

import asyncio
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
from engine.runs.ray_shards import RayShards, WorkersFailed
from engine.runs.ray_worker import RunWork, ShardJob
from engine.runs.shards import RunPlace
from scripts.bench.ray_kills import workers_in

pytest.importorskip("ray")
_QUIET = {"include_dashboard": False, "include_log_monitor": False}
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster():
    """Of this machine alone, with room for two workers."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else everything else here goes first
        try:
            made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **_QUIET})
        except Exception as error:  # noqa: BLE001  # its parts have 15 and 30 seconds, on however busy a machine
            pytest.skip(f"Ray does not start here: {error}")
        yield made
        made.shutdown()


@pytest.fixture
def config(tmp_path):
    (tmp_path / "script.yaml").write_text("delay: 0.1\n", encoding="utf-8")
    rows = [json.dumps({"id": f"p{n}", "prompt": f"Question {n}?"}) for n in range(400)]
    (tmp_path / "p.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return AnswerConfig.model_validate({
        "prompts": {"file": str(tmp_path / "p.jsonl")},
        "out": str(tmp_path / "out"),
        "roles": {"policy": f"scripted:{tmp_path / 'script.yaml'}"},
        "window": 8,
    })


def on_ray(cluster, job, on_progress=lambda now: None, workers=2):
    running = RayShards(job, address=cluster.address, gpus=0, workers=workers)
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


def test_what_a_dead_worker_or_an_interruption_leaves_is_gone_on_with(
    cluster, config, tmp_path, monkeypatch
):
    """One worker is killed, then all of it is interrupted; then it is finished, as room grows."""
    job = ShardJob(RunWork(config), 4, str(tmp_path / "scratch"), folder=str(tmp_path))
    killed = []

    def kill_one_then_stop(now):
        assert len(now.workers) <= 2
        if not killed and any(worker.done > 20 for worker in now.workers):
            killed.append(workers_in(tmp_path)[0])
            os.kill(killed[0], signal.SIGKILL)
        if now.moved and any(worker.done > 20 for worker in now.workers):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_ray(cluster, job, kill_one_then_stop)
    assert killed
    kept = sum(
        len(path.read_bytes().splitlines())
        for path in Path(config.out).glob("shards/*/records.jsonl")
    )
    assert kept > 20

    monkeypatch.setattr(RayShards, "_wanted", lambda running: 1 if running._ticks < 5 else 2)
    monkeypatch.setattr("engine.runs.ray_shards._LOOKS", 5)
    most = []
    ended = on_ray(cluster, job, lambda now: most.append(now.awaited + len(now.workers)), None)
    assert ended.finished == 4 and (most[0], max(most)) == (1, 2)
    assert gathered(config) == whole(config, tmp_path)


def test_what_cannot_go_on_ends_in_one_line(cluster, config, monkeypatch):
    monkeypatch.setattr("engine.runs.ray_shards._TRIES", 1)
    place = RunPlace.parse(config.out, "1/2", None)
    with place.open() as directory:
        asyncio.run(open_run(open_inputs(config).at(place), directory).close())
    with pytest.raises(InputError, match=r"shard 1/3: .*is one of 2 shards"):
        on_ray(cluster, ShardJob(RunWork(config), 3), workers=1)
    with pytest.raises(WorkersFailed, match=r"no worker starts: .*No such file"):
        on_ray(cluster, ShardJob(RunWork(config), 2, folder="/nowhere"), workers=1)
    with pytest.raises(InputError, match="0 GPUs, and a worker takes 1"):
        RayShards(ShardJob(RunWork(config), 2), address=cluster.address)
