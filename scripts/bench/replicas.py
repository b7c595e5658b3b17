"""How full the engine keeps several replicas: the real admission and routing, simulated GPUs.

Conversations of several turns go through `each_prompt`, `Window` and `Ranks` as in a run; the replicas
are simulated, in virtual time, so that the figures are the same everywhere. A replica decodes all of
its sequences at once, a token each per step of `base + each * sequences` seconds, computes prompts at
`prefill` seconds a token besides, and holds `kv_tokens`: a request reserves what it will need, and
what finished turns leave is cached, least recently used first out. Preemption, chunks and shared
prefixes of different conversations are left out.

`python -m scripts.bench.replicas` prints a table with a row for each way to admit and to route.
"""

import argparse
import asyncio
import heapq
import itertools
import random
import selectors
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from engine.generators.base import Capacity, Completion, Request, Sampling
from engine.generators.in_flight import Ranks
from engine.generators.scripted import ScriptedGenerator
from engine.messages import Message
from engine.prompts.sources import Prompt
from engine.runs.scheduler import Window, each_prompt

__all__ = ["Figures", "Gpu", "Setup", "main", "simulate"]

_BLOCK = 16
_TURNS = (220.0, 130.0, 260.0, 130.0, 260.0)
"""Mean tokens of an answer and two rounds of critique and revision."""
_SPREAD = 0.6
"""Of the logarithm of a length, about its mean: a long tail."""
_ASKED = 60
"""Tokens that ask for a turn."""


class Gpu(NamedTuple):
    """One replica: an 8B model in bfloat16 on 80 GB, by its memory traffic. Seconds and tokens."""

    base: float = 8e-3
    each: float = 3e-5
    prefill: float = 3e-5
    kv_tokens: int = 400_000


class Setup(NamedTuple):
    """How conversations are admitted and routed: `sequences` at once per replica, of which the window
    knows those of `counted` replicas."""

    name: str
    sequences: int
    counted: int
    pinned: bool


@dataclass(slots=True)
class Figures:
    """Of one run. Shares are of the time of all replicas, of what they could decode at once, and of
    the prompts' tokens."""

    seconds: float
    idle: float
    full: float
    hits: float
    first: float
    """When the first conversation had ended, as a share of the run."""


class _Instant(selectors.DefaultSelector):
    """Waits for nothing: time passes instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("nothing is left to happen")
        self.now += timeout
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now


@dataclass(order=True, slots=True)
class _Job:
    """A request at a replica: of conversation `priority`, waiting or running."""

    priority: int
    order: int
    prompt: int = field(compare=False)
    output: int = field(compare=False)
    hit: asyncio.Future[int] = field(compare=False)
    cached: int = field(default=0, compare=False)

    @property
    def tokens(self) -> int:
        return self.prompt + self.output


class _Replica:
    """One engine; `busy` and `decoding` are seconds, the latter times sequences."""

    def __init__(self, gpu: Gpu, sequences: int) -> None:
        self.gpu = gpu
        self.sequences = sequences
        self.busy = self.decoding = 0.0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: list[_Job] = []
        self._running: list[tuple[float, _Job]] = []
        """With the step at which each ends."""
        self._cached: OrderedDict[int, int] = OrderedDict()
        self._reserved = self._kept = 0
        self._steps = self._since = 0.0
        self._owed = 0.0
        """Seconds of prefill that come before the next step."""

    async def ask(self, job: _Job) -> int:
        """The job's prompt tokens that were cached, once it has ended."""
        heapq.heappush(self._waiting, job)
        self._go_on()
        return await job.hit

    def _go_on(self) -> None:
        self._advance()
        while self._running and self._running[0][0] <= self._steps + 1e-6:
            job = heapq.heappop(self._running)[1]
            self._reserved -= job.tokens
            self._kept += job.tokens - self._cached.pop(job.priority, 0)
            self._cached[job.priority] = job.tokens
            job.hit.set_result(job.cached)
        while self._waiting and len(self._running) < self.sequences:
            if self._reserved + self._waiting[0].tokens > self.gpu.kv_tokens:
                break
            self._admit(heapq.heappop(self._waiting))
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._running:
            left = self._owed + (self._running[0][0] - self._steps) * self._step
            self._timer = self._loop.call_at(self._since + max(0.0, left), self._go_on)

    @property
    def _step(self) -> float:
        return self.gpu.base + self.gpu.each * len(self._running)

    def _advance(self) -> None:
        now = self._loop.time()
        elapsed, self._since = now - self._since, now
        if self._running:
            self.busy += elapsed
            self.decoding += elapsed * len(self._running)
            paid = min(elapsed, self._owed)
            self._owed -= paid
            self._steps += (elapsed - paid) / self._step

    def _admit(self, job: _Job) -> None:
        kept = self._cached.pop(job.priority, 0)
        self._kept -= kept
        job.cached = min(kept, job.prompt) // _BLOCK * _BLOCK
        self._reserved += job.tokens
        while self._kept + self._reserved > self.gpu.kv_tokens:
            self._kept -= self._cached.popitem(last=False)[1]
        self._owed += (job.prompt - job.cached) * self.gpu.prefill
        heapq.heappush(self._running, (self._steps + job.output, job))


class _Unpinned(Ranks):
    """As vLLM shares requests out by itself: to the replica with the fewest, whatever they belong to;
    of equal ones, to each in turn."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._next = 0

    def _rank(self) -> int:
        size, self._next = len(self), self._next + 1
        in_turn = [(self._next + place) % size for place in range(size)]
        return min(in_turn, key=lambda rank: self._requests[rank])


class _Replicas(ScriptedGenerator):
    """Replicas of one model behind one generator."""

    def __init__(self, gpu: Gpu, count: int, setup: Setup) -> None:
        super().__init__()
        self.replicas = [_Replica(gpu, setup.sequences) for _ in range(count)]
        self.ranks = Ranks(count) if setup.pinned else _Unpinned(count)
        self.capacity = Capacity(gpu.kv_tokens * count, setup.sequences * setup.counted)
        self.prompt_tokens = self.cached_tokens = 0
        self._orders = itertools.count()

    async def generate(self, request: Request) -> Completion:
        """As long as the conversation's lengths say, once a replica has computed it."""
        prompt, output = _lengths(request.priority)[len(request.messages) // 2]
        hit: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        with self.ranks.taken() as rank:
            job = _Job(request.priority, next(self._orders), prompt, output, hit)
            cached = await self.replicas[rank].ask(job)
        self.prompt_tokens += prompt
        self.cached_tokens += cached
        return Completion("", "stop", prompt, cached, output)


def _lengths(row: int) -> list[tuple[int, int]]:
    """Tokens of prompt and output of each turn; a prompt is all that came before, and a request."""
    draw = random.Random(row)

    def drawn(mean: float) -> int:
        return 1 + int(draw.lognormvariate(0, _SPREAD) * mean / 1.2)  # 1.2: the mean of the draw

    prompt, turns = drawn(120.0), []
    for mean in _TURNS:
        output = min(drawn(mean), 1024)
        turns.append((prompt, output))
        prompt += output + _ASKED
    return turns


def simulate(
    setup: Setup, *, conversations: int, replicas: int = 8, gpu: Gpu | None = None
) -> Figures:
    """One run from its first conversation to its last, in virtual time."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(_simulated(setup, conversations, replicas, gpu or Gpu()))


async def _simulated(setup: Setup, conversations: int, replicas: int, gpu: Gpu) -> Figures:
    model = _Replicas(gpu, replicas, setup)
    asked = Message("user", "?")

    async def work(prompt: Prompt, came_back: Callable[[int], None]) -> int:
        messages: tuple[Message, ...] = prompt.messages
        for _ in _TURNS:
            said = await model.generate(Request(messages, Sampling(), 0, prompt.row))
            came_back(said.prompt_tokens + said.completion_tokens)
            messages = (*messages, said.message, asked)
        return prompt.row

    prompts = (Prompt(str(row), row, (asked,)) for row in range(conversations))
    clock, first = asyncio.get_running_loop().time, 0.0
    window = Window((model,), expected_tokens=1536, total=conversations)
    async for _ in each_prompt(prompts, work, window):
        first = first or clock()
    seconds = clock()
    fits = min(gpu.kv_tokens / _mean_tokens(conversations), 1024)
    return Figures(
        seconds,
        1 - sum(replica.busy for replica in model.replicas) / seconds / replicas,
        sum(replica.decoding for replica in model.replicas) / seconds / replicas / fits,
        model.cached_tokens / model.prompt_tokens,
        first / seconds,
    )


def _mean_tokens(conversations: int) -> float:
    """Of a request at its end: what a sequence holds of the KV cache."""
    ends = [sum(turn) for row in range(conversations) for turn in _lengths(row)]
    return sum(ends) / len(ends)


def _setups(replicas: int) -> list[Setup]:
    return [
        Setup("before", 128, 1, pinned=False),
        Setup("offline limits", 1024, 1, pinned=False),
        Setup("and counted on every replica", 1024, replicas, pinned=False),
        Setup("and conversations stay on theirs", 1024, replicas, pinned=True),
    ]


def main() -> None:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--conversations", type=int, default=6000)
    parser.add_argument("--replicas", type=int, default=8)
    given = parser.parse_args()
    print("| admission and routing | seconds | idle | full | prefix hits | first record |")
    print("|---|---|---|---|---|---|", flush=True)
    for setup in _setups(given.replicas):
        found = simulate(setup, conversations=given.conversations, replicas=given.replicas)
        shares = (found.idle, found.full, found.hits, found.first)
        cells = [setup.name, f"{found.seconds:,.0f}", *(f"{share:.1%}" for share in shares)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
