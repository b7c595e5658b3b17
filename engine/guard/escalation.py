"""What goes to a person: a queue on disk, and a word to whoever watches."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from constitution.schema import Constitution
from engine.guard.redaction import Redactor
from engine.prompts.sources import Prompt
from engine.records import Outcome, Record, Usage, Verdict
from engine.settings import Roles
from engine.storage.jsonl import JsonlStore

__all__ = ["QUEUE", "Queue", "Webhook", "escalated"]

QUEUE = "escalations.jsonl"
_TRIES = 3
_SECONDS = 10.0


def escalated(
    prompt: Prompt,
    answer: str,
    verdicts: tuple[Verdict, ...],
    constitution: Constitution,
    roles: Roles,
) -> Record:
    """An answer that a person must look at, as a record of `solon revise` that is escalated."""
    return Record(
        id=prompt.id,
        row=prompt.row,
        prompt=prompt.messages,
        tags=prompt.tags,
        answer=answer,
        first_verdicts=verdicts,
        final=answer,
        outcome=Outcome.UNRESOLVED,
        final_verdicts=verdicts,
        unresolved=tuple(v.principle for v in verdicts if v.violates is not False),
        escalate=True,
        constitution=constitution.content_hash,
        models=roles.specs,
        sampling=roles.samplings,
        usage=Usage(),
        extra=dict(prompt.extra),
    )


class Queue:
    """`escalations.jsonl` in a guard's directory, which `solon export` makes questions of."""

    def __init__(self, directory: Path, redactor: Redactor) -> None:
        self._store = JsonlStore(directory / QUEUE)
        self._redactor = redactor

    def add(self, record: Record) -> None:
        """Put one on disk, redacted. Raises StorageFull."""
        self._store.append(self._redactor.value(record.model_dump(mode="json")))
        self._store.sync(now=True)

    def close(self) -> None:
        """Sync and close."""
        self._store.close()


class Webhook:
    """Tells a URL what happened, beside the answer and never in its way: `lost` counts what could not
    be told in three tries."""

    def __init__(self, url: str) -> None:
        self.lost = 0
        self._url = url
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, what: Mapping[str, Any]) -> None:
        """Start telling, and return at once."""
        task = asyncio.ensure_future(self._tell(dict(what)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Wait for what is being told."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=_SECONDS)

    async def _tell(self, what: Mapping[str, Any]) -> None:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for attempt in range(_TRIES):
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.post(self._url, json=what, allow_redirects=False) as said:
                        if said.status < 300:
                            return
                await asyncio.sleep(2.0**attempt)
        self.lost += 1
