"""How many requests a server gets at once, and when it gets none.

The limit grows by one for each round of answers and halves when the server says that it is too much
(additive increase, multiplicative decrease: Chiu and Jain 1989), and everything waits for one pause.
"""

import asyncio
import random
import time
from collections import deque
from types import TracebackType

__all__ = ["Limiter"]

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_MOST_DOUBLINGS = 16


class Limiter:
    """`async with limiter:` is one request. `most` is the largest limit, `pause` the first pause in
    seconds where a server names none; it doubles with each refusal in a row."""

    def __init__(self, most: int, pause: float = _FIRST_PAUSE) -> None:
        self.limit = float(most)
        self.in_flight = 0
        self.refused_since: float | None = None
        """Monotonic seconds of the first refusal since anything was answered."""
        self._most = most
        self._pause = pause
        self._refusals = 0
        self._held_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def load(self) -> int:
        """Requests sent, and those that wait for their turn."""
        return self.in_flight + len(self._waiting)

    @property
    def held(self) -> bool:
        """Whether nothing may be sent now."""
        return time.monotonic() < self._held_until

    async def __aenter__(self) -> None:
        while self.held or self.in_flight >= int(self.limit):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
        self.in_flight += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.in_flight -= 1
        self._wake()

    def answered(self) -> None:
        """Something came back: more may be sent at once."""
        self._refusals = 0
        self.refused_since = None
        self.limit = min(self.limit + 1 / self.limit, float(self._most))

    def refused(self, retry_after: float | None) -> None:
        """It was too much: half as many from now on, and nothing for a while. Refusals of requests
        that were sent before the pause began do not lengthen it."""
        now = time.monotonic()
        if self.refused_since is None:
            self.refused_since = now
        if now < self._held_until and retry_after is None:
            return
        doubled = min(self._pause * 2 ** min(self._refusals, _MOST_DOUBLINGS), _LONGEST_PAUSE)
        seconds = retry_after or random.uniform(0.5, 1.0) * doubled
        if now >= self._held_until:
            self._refusals += 1
            self.limit = max(1.0, self.limit / 2)
        self._held_until = max(self._held_until, now + seconds)
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, self._held_until - now) + 0.001, self._wake)

    def _wake(self) -> None:
        """Let as many go on as there is room for."""
        if self.held:
            return
        room = int(self.limit) - self.in_flight
        while room > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                room -= 1
