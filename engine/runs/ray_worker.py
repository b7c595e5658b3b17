"""One worker of a run in shards: an actor with one engine, which stays warm from shard to shard."""

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from constitution.problems import InputError, Stopped
from engine.runs.config import RunConfig
from engine.runs.opening import RunInputs, open_inputs, open_run
from engine.runs.output import Mode
from engine.runs.run import Run
from engine.runs.shards import RunPlace
from engine.storage.atomic import InUse

__all__ = ["RunWork", "ShardEnd", "ShardJob", "ShardProgress", "ShardWork", "ShardWorker"]

_FREE_WITHIN = 60
"""Seconds for which a worker waits for a shard that another process holds: the workers of a command
that was killed end a little after it."""


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """What a worker is at. Tokens are those generated for this shard so far, and seconds those since
    its engine was up."""

    shard: int
    host: str = field(default_factory=socket.gethostname)
    done: int = 0
    total: int = 0
    tokens: int = 0
    seconds: float = 0.0
    started: bool = False

    @property
    def pace(self) -> float:
        """Generated tokens a second."""
        return self.tokens / self.seconds if self.seconds >= 1 else 0.0


class ShardWork(Protocol):
    """What is done with a shard. It travels to the workers before anything of it is opened."""

    cached: bool
    """Whether a shard's completion cache is a part of what it leaves."""

    def place(self, shard: str, scratch: str | None) -> RunPlace:
        """Where a shard is kept."""

    async def finish(self, place: RunPlace, directory: Path) -> None:
        """Take the shard to its end in `directory`. What is opened stays so for the next one."""

    def progress(self, shard: int) -> ShardProgress:
        """Where the one that is being finished stands."""

    async def close(self) -> None:
        """Stop the engines."""


class RunWork:
    """The shards of a run."""

    cached = False

    def __init__(self, config: RunConfig, mode: Mode = "resume") -> None:
        self._config = config
        self._mode: Mode = mode
        self._inputs: RunInputs | None = None
        self._run: Run[Any] | None = None

    def place(self, shard: str, scratch: str | None) -> RunPlace:
        """In the run's directory."""
        return RunPlace.parse(self._config.out, shard, scratch)

    async def finish(self, place: RunPlace, directory: Path) -> None:
        """Raises as Run.execute does."""
        if self._inputs is None:
            self._inputs = open_inputs(self._config, place.of)
        self._run = run = open_run(self._inputs.at(place), directory, self._mode)
        try:
            if not run.complete:
                await run.execute()
        finally:
            self._run = None
            await run.close(engines=False)

    def progress(self, shard: int) -> ShardProgress:
        """Nothing before the shard is open."""
        if self._run is None:
            return ShardProgress(shard)
        now = self._run.progress()
        return ShardProgress(
            shard,
            done=now.done,
            total=now.total,
            tokens=now.counts.completion_tokens,
            seconds=now.seconds,
            started=now.started,
        )

    async def close(self) -> None:
        """Stop the engines."""
        models = self._inputs.models if self._inputs else {}
        for generator in dict.fromkeys(model.generator for model in models.values()):
            await generator.close()


@dataclass(frozen=True, slots=True)
class ShardJob:
    """What all workers do, each for some of the `shards`. Paths are as seen from `folder`, which is
    where the command was given and must be there on every machine."""

    work: ShardWork
    shards: int
    scratch: str | None = None
    folder: str = field(default_factory=os.getcwd)


@dataclass(frozen=True, slots=True)
class ShardEnd:
    """How a worker's shard ended. With a `problem` it is not finished: another worker may finish it,
    or nobody where the input is `wrong`. None of this is an exception, which may not travel."""

    shard: int
    problem: str = ""
    wrong: bool = False


class ShardWorker:
    """The actor: its methods are called from elsewhere, and run in one event loop."""

    def __init__(self, job: ShardJob) -> None:
        self._job = job
        self._shard = 0
        self._task: asyncio.Task[Any] | None = None
        os.chdir(job.folder)

    async def work(self, shard: int) -> ShardEnd:
        """Take one shard to its end."""
        self._shard, self._task = shard, asyncio.current_task()
        try:
            await self._finish_when_free(shard)
        except InputError as error:
            return ShardEnd(shard, str(error), wrong=True)
        except (Stopped, OSError) as error:
            return ShardEnd(shard, str(error))
        except asyncio.CancelledError:
            return ShardEnd(shard, "stopped")
        finally:
            self._task = None
        return ShardEnd(shard)

    async def _finish_when_free(self, shard: int) -> None:
        for _ in range(_FREE_WITHIN):
            with suppress(InUse):
                return await self._finish(shard)
            await asyncio.sleep(1)
        return await self._finish(shard)

    async def _finish(self, shard: int) -> None:
        work = self._job.work
        place = work.place(f"{shard}/{self._job.shards}", self._job.scratch)
        with place.open(cache=work.cached) as directory:
            await work.finish(place, directory)

    async def progress(self) -> ShardProgress:
        """Where the shard stands."""
        return self._job.work.progress(self._shard)

    async def stop(self) -> None:
        """End the shard as an interruption would, resumable, and stop the engine."""
        if self._task is not None:
            self._task.cancel()
            while self._task is not None:
                await asyncio.sleep(0.05)
        await self._job.work.close()
