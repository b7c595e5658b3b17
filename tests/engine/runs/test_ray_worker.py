"""A worker of a run in shards, without Ray: how its shards end, and what it leaves."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from constitution.permissions import needs_of
from constitution.problems import InputError
from engine.runs.config import AnswerConfig
from engine.runs.manifest import read_manifest
from engine.runs.ray_shards import RayShards
from engine.runs.ray_worker import RunWork, ShardEnd, ShardJob, ShardWorker
from engine.runs.workers import Workers
from engine.storage.atomic import DirectoryLock


@pytest.fixture
def config(tmp_path):
    (tmp_path / "script.yaml").write_text("delay: 0.01\n", encoding="utf-8")
    rows = [json.dumps({"id": f"p{n}", "prompt": f"Question {n}?"}) for n in range(40)]
    (tmp_path / "p.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return AnswerConfig.model_validate({
        "prompts": {"file": str(tmp_path / "p.jsonl")},
        "out": str(tmp_path / "out"),
        "roles": {"policy": f"scripted:{tmp_path / 'script.yaml'}"},
        "window": 1,
    })


def records(shard):
    return len((shard / "records.jsonl").read_bytes().splitlines())


def test_one_worker_does_one_shard_after_the_other(config, tmp_path):
    worker = ShardWorker(ShardJob(RunWork(config), 2))

    async def both():
        ends = [await worker.work(1), await worker.work(2)]
        await worker.stop()
        return ends

    assert asyncio.run(both()) == [ShardEnd(1), ShardEnd(2)]
    assert sum(records(tmp_path / "out" / "shards" / str(n)) for n in (1, 2)) == 40


def test_a_worker_that_is_stopped_leaves_what_it_has_finished(config, tmp_path):
    async def stopped():
        worker = ShardWorker(ShardJob(RunWork(config), 1, str(tmp_path / "scratch")))
        work = asyncio.create_task(worker.work(1))
        while (await worker.progress()).done < 5:
            await asyncio.sleep(0.01)
        await worker.stop()
        return await work

    shard = tmp_path / "out" / "shards" / "1"
    assert asyncio.run(stopped()) == ShardEnd(1, "stopped")
    assert 5 <= records(shard) < 40 and not read_manifest(shard)["complete"]
    assert asyncio.run(ShardWorker(ShardJob(RunWork(config), 1)).work(1)) == ShardEnd(1)
    assert records(shard) == 40


def test_a_shard_that_another_process_still_holds_is_waited_for(config, tmp_path, monkeypatch):
    shard = tmp_path / "out" / "shards" / "1"
    shard.mkdir(parents=True)

    async def held(seconds):
        with DirectoryLock(shard):
            work = asyncio.create_task(ShardWorker(ShardJob(RunWork(config), 1)).work(1))
            await asyncio.sleep(seconds)
        return await work

    assert asyncio.run(held(0.1)) == ShardEnd(1)
    monkeypatch.setattr("engine.runs.ray_worker._FREE_WITHIN", 0)
    end = asyncio.run(held(0.1))
    assert end.wrong and "another process" in end.problem


def test_wrong_input_is_no_other_workers_business(config, tmp_path):
    (tmp_path / "p.jsonl").write_text("{}", encoding="utf-8")
    end = asyncio.run(ShardWorker(ShardJob(RunWork(config), 2)).work(1))
    assert end.wrong and "p.jsonl:1" in end.problem


def test_workers_that_contradict_themselves_are_refused():
    assert Workers(ray="auto").count == 32
    with pytest.raises(InputError, match="exclude each other"):
        Workers(ray="local").check("1/2")
    with pytest.raises(InputError, match="--workers: is for --ray"):
        Workers(most=2).check(None)


@pytest.mark.parametrize(("address", "asks"), [("local", 0), ("auto", 0), ("10.0.0.1:6379", 1)])
def test_a_cluster_elsewhere_needs_a_permission(address, asks):
    assert len(needs_of(Workers(ray=address))) == asks


@pytest.mark.parametrize("address", ["local", "auto", "10.0.0.1:6379"])
def test_the_cluster_that_was_named_is_asked_for(address, tmp_path, monkeypatch):
    """Without an address Ray takes the last cluster of this machine, also where that was killed."""
    asked = []

    def init(**options):
        asked.append(options["address"])
        raise ConnectionError("none answers")

    monkeypatch.setattr("engine.runs.ray_shards._ray", lambda: SimpleNamespace(init=init))
    with pytest.raises(InputError, match=f"no cluster at `{address}`: none answers"):
        RayShards(ShardJob(None, 2), address=address)
    assert asked == [address]
