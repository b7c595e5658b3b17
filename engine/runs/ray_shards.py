"""A run's shards over the workers of a Ray cluster; a dead worker's shard goes to another.

Plain actors rather than Ray Data: the unit is one shard for as long as it takes, of which a worker
has one at a time, so there is nothing to batch, and a worker's death is one event here instead of a
block that is tried again somewhere within.
"""

import asyncio
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from constitution.problems import InputError, Problem, Stopped, missing
from engine.runs.ray_worker import ShardEnd, ShardJob, ShardProgress, ShardWorker

__all__ = ["RayProgress", "RayShards", "WorkersFailed"]

_TRIES = 3
"""Workers that may die, or lose their engine, over one shard."""
_TICK = 0.5
"""Seconds between two looks at the workers."""
_LOOKS = 10
"""Ticks between two looks at the cluster, which nodes join and leave."""
_LAST_TICKS = 10
"""Of workers that are to stop."""
_CPUS = 0.5
"""Of a worker: its engine's processes are not counted by Ray."""
_PASSED_ON = ("SOLON_ALLOWED", "HF_HOME", "HF_HUB_OFFLINE", "XDG_CACHE_HOME")
"""Variables that the workers are to have as they are here."""


class WorkersFailed(Stopped):
    """A shard whose workers fail again and again."""


@dataclass(frozen=True, slots=True)
class RayProgress:
    """Where a run in shards stands; `moved` are shards that went from a dead worker to another, the
    last for this `problem`, and `awaited` workers that Ray has not placed yet."""

    shards: int
    finished: int
    moved: int
    awaited: int
    workers: Sequence[ShardProgress]
    problem: str = ""


@dataclass(slots=True)
class _Busy:
    actor: Any
    shard: int
    ended: Any
    """What Ray will have of `work`."""
    seen: ShardProgress
    asked: Any = None


class RayShards:
    """All shards of a run, on actors with `gpus` each (a fraction shares one): `workers` of them at
    most, or as many as the cluster has room for; more as nodes join, and each has a shard only once
    it is placed.

    `address` is that of a running cluster, "local" starts one on this machine. Raises InputError where
    Ray is missing, no cluster answers, or it has no room for a worker.
    """

    def __init__(
        self, job: ShardJob, *, address: str, gpus: float = 1.0, workers: int | None = None
    ) -> None:
        self._ray = _ray()
        self._job = job
        self._gpus = gpus
        self._most = workers
        self._connect(address)
        self._actor = self._ray.remote(ShardWorker).options(num_cpus=_CPUS, num_gpus=gpus)
        self._waiting = deque(range(1, job.shards + 1))
        self._starting: dict[Any, Any] = {}
        """What Ray will have of an actor once it is placed: the actor."""
        self._busy: list[_Busy] = []
        self._tries: Counter[int] = Counter()
        self._failed_starts = 0
        """In a row."""
        self._finished = self._moved = 0
        self._problem = ""
        self._ticks = 0
        try:
            self._size = self._wanted()
        except InputError:
            self.close()
            raise

    def _connect(self, address: str) -> None:
        # Ray takes no address for the last cluster of this machine, which may be dead.
        try:
            self._ray.init(
                address=address, runtime_env={"env_vars": _variables()}, log_to_driver=False,
                logging_level="error", include_dashboard=False if address == "local" else None,
            )  # fmt: skip
        except (ConnectionError, ValueError) as error:
            what = f"no cluster at `{address}`: {_last_line(error)}"
            remedy = (
                "start one with `ray start --head`, set RAY_AUTH_MODE=token if it has a token, "
            )
            remedy += "or write --ray local"
            raise InputError(Problem("--ray", what, remedy)) from None
        except Exception as error:  # Ray's own, of no class: a machine that is too busy
            raise WorkersFailed(f"Ray does not start: {_last_line(error)}") from error

    def _wanted(self) -> int:
        """Workers to have at a time, however many shards are left. Those of `workers` are asked for
        whether or not there is room: a cluster that grows does so for what waits."""
        if self._most is not None:
            return self._most
        if not self._gpus:  # one for each machine
            return sum(1 for node in self._ray.nodes() if node["Alive"])
        have = self._ray.cluster_resources().get("GPU", 0)
        if have < self._gpus and not self._ticks:
            what = f"the cluster has {have:g} GPUs, and a worker takes {self._gpus:g}"
            remedy = (
                "give --gpus-per-worker 0 to run without, --workers N for a cluster that grows, or "
                "another --ray ADDRESS"
            )
            raise InputError(Problem("--ray", what, remedy))
        return int(have // self._gpus)

    async def execute(self, on_progress: Callable[[RayProgress], None]) -> None:
        """Finish every shard. Cancelled, it stops the workers, and what they finished is on disk.

        Raises InputError for what a worker says of its input, WorkersFailed.
        """
        try:
            while self._waiting or self._busy:
                self._start_workers()
                for ready in [*self._starting]:
                    self._look_at_start(ready)
                for worker in [*self._busy]:
                    self._look_at(worker)
                on_progress(self.progress())
                await asyncio.sleep(_TICK)
        finally:
            await asyncio.shield(self._stop())

    def progress(self) -> RayProgress:
        """As the workers last said."""
        seen = tuple(worker.seen for worker in self._busy)
        return RayProgress(
            self._job.shards, self._finished, self._moved, len(self._starting), seen, self._problem
        )

    def close(self) -> None:
        """Leave the cluster, and stop it where it was started here."""
        self._ray.shutdown()

    # Workers ------------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        """As many as are wanted, but no more than there are shards for."""
        self._ticks += 1
        if self._ticks % _LOOKS == 0:
            self._size = self._wanted()
        size = min(self._size, len(self._waiting) + len(self._busy))
        for _ in range(size - len(self._starting) - len(self._busy)):
            actor = self._actor.remote(self._job)
            self._starting[actor.__ray_ready__.remote()] = actor

    def _look_at_start(self, ready: Any) -> None:
        """Give a worker that was placed its first shard. Raises WorkersFailed where none starts."""
        if not self._ready(ready):
            return
        actor = self._starting.pop(ready)
        try:
            self._ray.get(ready)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= _TRIES:
                raise WorkersFailed(f"no worker starts: {_last_line(error)}") from None
            return
        self._failed_starts = 0
        self._begin(actor)

    def _begin(self, actor: Any) -> None:
        if not self._waiting:
            self._ray.kill(actor)
            return
        shard = self._waiting.popleft()
        seen = ShardProgress(shard, "")
        self._busy.append(_Busy(actor, shard, actor.work.remote(shard), seen))

    def _look_at(self, worker: _Busy) -> None:
        """Ask how it stands, and give it the next shard once it has ended one."""
        if not self._ready(worker.ended):
            if worker.asked is None:
                worker.asked = worker.actor.progress.remote()
            elif self._ready(worker.asked):
                with suppress(self._ray.exceptions.RayError):
                    worker.seen = replace(self._ray.get(worker.asked), shard=worker.shard)
                worker.asked = None
            return
        self._busy.remove(worker)
        try:
            end: ShardEnd = self._ray.get(worker.ended)
        except self._ray.exceptions.RayError as died:
            end = ShardEnd(worker.shard, _last_line(died))
        if end.wrong:
            raise InputError(Problem(f"shard {end.shard}/{self._job.shards}", end.problem))
        if not end.problem:
            self._finished += 1
            self._begin(worker.actor)
            return
        self._ray.kill(worker.actor)
        self._tries[end.shard] += 1
        if self._tries[end.shard] >= _TRIES:
            raise WorkersFailed(f"shard {end.shard} failed on {_TRIES} workers: {end.problem}")
        self._moved, self._problem = self._moved + 1, end.problem
        self._waiting.append(end.shard)

    def _ready(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])

    async def _stop(self) -> None:
        """End what is in flight as an interruption would, for as long as that may take."""
        stopping = [worker.actor.stop.remote() for worker in self._busy]
        for _ in range(_LAST_TICKS):
            if not stopping or all(map(self._ready, stopping)):
                break
            await asyncio.sleep(_TICK)
        for actor in (*self._starting.values(), *(worker.actor for worker in self._busy)):
            self._ray.kill(actor)


def _last_line(error: Exception) -> str:
    """What an error of Ray's is about: a worker's own comes after its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    return lines[-1] if any(line.startswith("File ") for line in lines) else first


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
        raise missing("--ray", "Ray", "ray") from None
    return ray
