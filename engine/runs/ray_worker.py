"""One worker of a run in shards: an actor with one engine, which stays warm from shard to shard."""

import asyncio
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Stopped
from engine.runs.opening import RunConfig, RunInputs, open_inputs, open_run
from engine.runs.output import Mode
from engine.runs.run import Run
from engine.runs.shards import RunPlace

__all__ = ["ShardEnd", "ShardJob", "ShardWorker", "WorkerProgress"]


@dataclass(frozen=True, slots=True)
class ShardJob:
    """What all workers do, each for some of the `shards`. Paths are as seen from `folder`, which is
    where the command was given and must be there on every machine."""

    config: RunConfig
    shards: int
    scratch: str | None = None
    mode: Mode = "resume"
    folder: str = field(default_factory=os.getcwd)


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """How a worker's shard ended. With a `problem` it is not finished: another worker may finish it,
    or nobody where the input is `wrong`. None of this is an exception, which may not travel."""

    shard: int
    problem: str = ""
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class WorkerProgress:
    """What a worker is at. Tokens are those generated for this shard so far, and seconds those since
    its engine was up."""

    host: str
    shard: int
    done: int = 0
    total: int = 0
    tokens: int = 0
    seconds: float = 0.0
    started: bool = False

    @property
    def pace(self) -> float:
        """Generated tokens a second."""
        return self.tokens / self.seconds if self.seconds >= 1 else 0.0


class ShardWorker:
    """The actor: its methods are called from elsewhere, and run in one event loop."""

    def __init__(self, job: ShardJob) -> None:
        self._job = job
        self._inputs: RunInputs | None = None
        self._run: Run[Any] | None = None
        self._shard = 0
        self._task: asyncio.Task[Any] | None = None
        os.chdir(job.folder)

    async def work(self, shard: int) -> ShardEnd:
        """Take one shard to its end."""
        self._shard, self._task = shard, asyncio.current_task()
        try:
            await self._finish(shard)
        except InputError as error:
            return ShardEnd(shard, str(error), wrong=True)
        except (Stopped, OSError) as error:
            return ShardEnd(shard, str(error))
        except asyncio.CancelledError:
            return ShardEnd(shard, "stopped")
        finally:
            self._run = self._task = None
        return ShardEnd(shard)

    async def _finish(self, shard: int) -> None:
        job = self._job
        if self._inputs is None:
            self._inputs = open_inputs(job.config)
        place = RunPlace.parse(job.config.out, f"{shard}/{job.shards}", job.scratch)
        inputs = self._inputs.at(place)
        with place.open() as directory:
            self._run = run = open_run(inputs, Path(directory), job.mode)
            try:
                if not run.complete:
                    await run.execute()
            finally:
                await run.close(engines=False)

    async def progress(self) -> WorkerProgress:
        """Where the shard stands."""
        host, run = socket.gethostname(), self._run
        if run is None:
            return WorkerProgress(host, self._shard)
        now = run.progress()
        tokens = now.counts.completion_tokens
        return WorkerProgress(
            host, self._shard, now.done, now.total, tokens, now.seconds, now.started
        )

    async def stop(self) -> None:
        """End the shard as an interruption would, resumable, and stop the engine."""
        if self._task is not None:
            self._task.cancel()
            while self._task is not None:
                await asyncio.sleep(0.05)
        models = self._inputs.models if self._inputs else {}
        for generator in dict.fromkeys(model.generator for model in models.values()):
            await generator.close()
