"""Which conversation a request belongs to, for engines and servers that keep its prefix.

The turns of one conversation are rendered in several ways (its own turns, a reviewer's quotation of
them, questions to a judge), so that their texts do not tell which requests belong together. Whoever
admits a conversation does: every request that is sent within `one_conversation`, by its task or by
those that it starts, belongs to it.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

__all__ = ["InFlight", "Ranks", "conversation_in_flight", "one_conversation"]

_numbers = itertools.count()


class InFlight:
    """A conversation in flight. `key` is like no other's in this process."""

    __slots__ = ("__weakref__", "key")

    def __init__(self) -> None:
        self.key = f"conversation {next(_numbers)}"


_current: ContextVar[InFlight | None] = ContextVar("conversation in flight", default=None)


@contextmanager
def one_conversation(conversation: InFlight | None = None) -> Iterator[None]:
    """Requests sent in the block belong together, and with those of other blocks of the same one."""
    token = _current.set(conversation or InFlight())
    try:
        yield
    finally:
        _current.reset(token)


def conversation_in_flight() -> InFlight | None:
    """What the request at hand belongs to; None where nobody said."""
    return _current.get()


class Ranks:
    """Shares requests out among `size` replicas of a model.

    Those of one conversation go to one replica, whose cache holds its prefix: the one with the fewest
    requests at the conversation's first turn. Others go to the one with the fewest.
    """

    def __init__(self, size: int) -> None:
        self._requests = [0] * size
        self._homes: WeakKeyDictionary[InFlight, int] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._requests)

    @contextmanager
    def taken(self) -> Iterator[int]:
        """The replica for the request at hand, which is in flight for the block's time."""
        rank = self._rank()
        self._requests[rank] += 1
        try:
            yield rank
        finally:
            self._requests[rank] -= 1

    def _rank(self) -> int:
        idlest = self._requests.index(min(self._requests))
        conversation = conversation_in_flight()
        return idlest if conversation is None else self._homes.setdefault(conversation, idlest)
