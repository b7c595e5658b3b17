"""A run's shards over the workers of a Ray cluster; a dead worker's shard goes to another.

Plain actors rather than Ray Data: the unit is one shard for as long as it takes, of which a worker
has one at a time, so there is nothing to batch, and a worker's death is one event here instead of a
block that is tried again somewhere within.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from constitution.problems import InputError, Problem, Stopped
from engine.runs.ray_worker import ShardEnd, ShardJob, ShardWorker, WorkerProgress

__all__ = ["RayProgress", "RayShards", "WorkersFailed"]

_TRIES = 3
"""Workers that may die, or lose their engine, over one shard."""
_TICK = 0.5
"""Seconds between two looks at the workers."""
_CPUS = 0.5
"""Of a worker: its engine's processes are not counted by Ray."""
_PASSED_ON = ("SOLON_ALLOWED", "HF_HOME", "HF_HUB_OFFLINE", "XDG_CACHE_HOME")
"""Variables that the workers are to have as they are here."""


class WorkersFailed(Stopped):
    """A shard whose workers fail again and again."""


@dataclass(frozen=True, slots=True)
class RayProgress:
    """Where a run in shards stands; `moved` are shards that went from a dead worker to another."""

    shards: int
    finished: int
    moved: int
    workers: Sequence[WorkerProgress]


@dataclass(slots=True)
class _Busy:
    actor: Any
    shard: int
    ended: Any
    """What Ray will have of `work`."""
    seen: WorkerProgress = field(default_factory=lambda: WorkerProgress("", 0))
    asked: Any = None


class RayShards:
    """All shards of a run, on `workers` actors with `gpus` each (a fraction shares one).

    `address` is that of a running cluster, None starts one on this machine. Raises InputError where
    Ray is missing or has no room for a worker.
    """

    def __init__(
        self, job: ShardJob, *, address: str | None, gpus: float = 1.0, workers: int | None = None
    ) -> None:
        self._ray = _ray()
        self._job = job
        self._gpus = gpus
        self._ray.init(
            address=address, runtime_env={"env_vars": _variables()}, log_to_driver=False,
            logging_level="error", include_dashboard=False if address is None else None,
        )  # fmt: skip
        self._size = min(job.shards, workers or self._room())
        self._actor = self._ray.remote(ShardWorker).options(num_cpus=_CPUS, num_gpus=gpus)
        self._waiting = deque(range(1, job.shards + 1))
        self._busy: list[_Busy] = []
        self._tries: dict[int, int] = {}
        self._finished = self._moved = 0

    def _room(self) -> int:
        """Workers that the cluster has room for; without GPUs one for each machine."""
        if not self._gpus:
            return sum(1 for node in self._ray.nodes() if node["Alive"])
        have = self._ray.cluster_resources().get("GPU", 0)
        if have < self._gpus:
            what = f"the cluster has {have:g} GPUs, and a worker takes {self._gpus:g}"
            remedy = "give --gpus-per-worker 0 to run without, or another --ray ADDRESS"
            raise InputError(Problem("--ray", what, remedy))
        return int(have // self._gpus)

    async def execute(self, on_progress: Callable[[RayProgress], None]) -> None:
        """Finish every shard. Cancelled, it stops the workers, and what they finished is on disk.

        Raises InputError for what a worker says of its input, WorkersFailed.
        """
        try:
            for _ in range(self._size):
                self._begin(self._actor.remote(self._job))
            while self._busy:
                await asyncio.sleep(_TICK)
                for worker in [*self._busy]:
                    self._look_at(worker)
                on_progress(self.progress())
        finally:
            await asyncio.shield(self._stop())

    def progress(self) -> RayProgress:
        """As the workers last said."""
        seen = tuple(worker.seen for worker in self._busy)
        return RayProgress(self._job.shards, self._finished, self._moved, seen)

    def close(self) -> None:
        """Leave the cluster, and stop it where it was started here."""
        self._ray.shutdown()

    def _begin(self, actor: Any) -> None:
        if not self._waiting:
            self._ray.kill(actor)
            return
        shard = self._waiting.popleft()
        self._busy.append(_Busy(actor, shard, actor.work.remote(shard)))

    def _look_at(self, worker: _Busy) -> None:
        """Ask how it stands, and give it the next shard once it has ended one."""
        if not self._ready(worker.ended):
            if worker.asked is None:
                worker.asked = worker.actor.progress.remote()
            elif self._ready(worker.asked):
                with suppress(self._ray.exceptions.RayError):
                    worker.seen = self._ray.get(worker.asked)
                worker.asked = None
            return
        self._busy.remove(worker)
        try:
            end: ShardEnd = self._ray.get(worker.ended)
        except self._ray.exceptions.RayActorError as died:
            end = ShardEnd(worker.shard, str(died).splitlines()[0])
        if end.wrong:
            raise InputError(Problem(f"shard {end.shard}/{self._job.shards}", end.problem))
        if not end.problem:
            self._finished += 1
            self._begin(worker.actor)
            return
        self._try_elsewhere(worker, end)

    def _try_elsewhere(self, worker: _Busy, end: ShardEnd) -> None:
        self._ray.kill(worker.actor)
        tries = self._tries[end.shard] = self._tries.get(end.shard, 0) + 1
        if tries >= _TRIES:
            raise WorkersFailed(f"shard {end.shard} failed on {tries} workers: {end.problem}")
        self._moved += 1
        self._waiting.append(end.shard)
        self._begin(self._actor.remote(self._job))

    def _ready(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])

    async def _stop(self) -> None:
        """End what is in flight as an interruption would, for as long as that may take."""
        stopping = [worker.actor.stop.remote() for worker in self._busy]
        for _ in range(10):
            if not stopping or all(map(self._ready, stopping)):
                break
            await asyncio.sleep(_TICK)
        for worker in self._busy:
            self._ray.kill(worker.actor)


def _variables() -> dict[str, str]:
    """Of the environment of the workers, which start in another folder."""
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if folders := os.environ.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, folders.split(os.pathsep)))
    return found


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        remedy = "pip install 'solon[ray]'"
        raise InputError(Problem("--ray", "Ray is not installed", remedy)) from None
    return ray
