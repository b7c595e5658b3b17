"""Critique and revision from a batch script, without a run directory or with one."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path

from constitution.loader import load_for_judging
from constitution.schema import Constitution
from engine.generators.base import Generator, Sampling, started
from engine.generators.spec import open_generator
from engine.generators.vllm import share_engines
from engine.judging.calibrate import calibrated
from engine.prompts.sources import Prompt, PromptSource, open_prompts, prompts_from
from engine.records import Failure, Record
from engine.runs.output import Mode
from engine.runs.run import RevisionRun
from engine.runs.scheduler import revise_all
from engine.settings import LoopSettings, Roles, roles

__all__ = ["revise", "revise_async"]

PromptInput = str | Path | PromptSource | Iterable[str | dict[str, object] | Prompt]


async def revise_async(
    prompts: PromptInput,
    constitution: Constitution | str | Path,
    model: Generator | Roles | str,
    *,
    settings: LoopSettings | None = None,
    sampling: Sampling | None = None,
    out: str | Path | None = None,
    mode: Mode = "resume",
) -> AsyncGenerator[Record | Failure, None]:
    """Yield each prompt's Record, or Failure, as it finishes.

    `prompts` is a file (str or Path) or any iterable of texts, dicts or Prompts, streamed. `model`
    is a spec, a Generator, or Roles. With `out` every result is on disk before it is yielded, and
    the same call resumes; `prompts` must then be a file. The models are closed at the end. Raises
    InputError, GeneratorUnavailable and StorageFull.
    """
    if isinstance(constitution, str | Path):
        constitution = load_for_judging(constitution)
    if isinstance(model, str):
        model = open_generator(model)
    cast = model if isinstance(model, Roles) else roles(model, sampling=sampling)
    share_engines(cast.generators)
    settings = settings or LoopSettings()
    source = open_prompts(prompts) if isinstance(prompts, str | Path) else prompts
    if out is not None:
        if not isinstance(source, PromptSource):
            raise TypeError("with `out`, prompts must be a file: a run must be able to resume")
        run = RevisionRun(Path(out), source, constitution, cast, settings, mode=mode)
        try:
            async with aclosing(run.stream()) as results:
                async for result in results:
                    yield result
        finally:
            await run.close()
        return
    async with started(cast.generators):
        cast, _ = await calibrated(cast, constitution, settings)
        stream = revise_all(prompts_from(source), constitution, cast, settings)
        async with aclosing(stream) as results:
            async for result in results:
                yield result


def revise(
    prompts: PromptInput,
    constitution: Constitution | str | Path,
    model: Generator | Roles | str,
    *,
    settings: LoopSettings | None = None,
    sampling: Sampling | None = None,
    out: str | Path | None = None,
    mode: Mode = "resume",
) -> Iterator[Record | Failure]:
    """`revise_async` for code without an event loop; closing the iterator ends the run cleanly.

    The loop runs in a thread of its own and waits when the caller is slow to take results.
    """
    stream = revise_async(
        prompts, constitution, model, settings=settings, sampling=sampling, out=out, mode=mode
    )
    pump = _Pump(stream)
    pump.thread.start()
    try:
        while (result := pump.results.get()) is not None:
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        pump.stop()


class _Pump:
    """Runs an asynchronous stream in a thread of its own, into a bounded queue."""

    def __init__(self, stream: AsyncGenerator[Record | Failure, None]) -> None:
        self.results: queue.Queue[Record | Failure | BaseException | None] = queue.Queue(256)
        self.thread = threading.Thread(target=self._work, name="solon-revise", daemon=True)
        self._stream = stream
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None

    def stop(self) -> None:
        """Cancel what is in flight and wait until it has ended."""
        if self._running and self.thread.is_alive():
            loop, task = self._running
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
                loop.call_soon_threadsafe(task.cancel)
        while self.thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self.results.get(timeout=0.05)

    def _work(self) -> None:
        try:
            asyncio.run(self._pump())
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            self.results.put(error)
        else:
            self.results.put(None)

    async def _pump(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._running = (asyncio.get_running_loop(), task)
        async with aclosing(self._stream) as source:
            async for result in source:
                while self.results.full():
                    await asyncio.sleep(0.01)
                self.results.put_nowait(result)
