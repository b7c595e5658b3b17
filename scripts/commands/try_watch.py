"""`solon try --watch`: the conversation again after every save, with the models kept warm.

What a save did not touch comes from the cache; of the rest only what reads differently is shown.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text

from constitution.loader import constitution_files, load_for_judging
from constitution.problems import InputError
from constitution.schema import Constitution
from engine.loop.asking import ConversationFailed, Step
from engine.loop.critique_revise import critique_and_revise
from engine.prompts.sources import Prompt
from engine.records import Record, Verdict
from engine.report.wording import visible
from engine.settings import LoopSettings, Roles, for_stakeholder
from engine.storage.cached_generator import CachedGenerator
from engine.storage.completion_cache import CompletionCache
from scripts.commands.conversation_view import Watcher

__all__ = ["Session", "saved"]

_POLL = 0.1
"""Seconds between looks at the files."""

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Utterance:
    """What was said at one place of the conversation."""

    role: str
    round: int
    principle: str
    text: str

    @property
    def place(self) -> tuple[str, int, str]:
        return self.role, self.round, self.principle


class Session:
    """One prompt judged against a constitution that is being edited, until it is cancelled."""

    def __init__(
        self,
        source: str,
        prompt: Prompt,
        roles: Roles,
        settings: LoopSettings,
        watcher: Watcher,
    ) -> None:
        self.source = source
        self.prompt = prompt
        self.roles = _remembering(roles)
        self.settings = settings
        self.watcher = watcher
        self.console = watcher.console
        self._before: list[_Utterance] = []
        self._hash = ""
        self._files = constitution_files(source)

    async def run(self, constitution: Constitution) -> None:
        """Show the whole conversation, then what each save changes in it; ends when cancelled."""
        seen = saved(self._files)
        await self._converse(constitution, seen)
        while True:
            self._wait_line()
            seen = await self._next_save(seen)
            edited = self._reload()
            while edited is not None:
                later = await self._converse(edited, seen)
                if later is None:
                    break
                seen, edited = later, self._reload()

    async def _converse(self, constitution: Constitution, seen: Stamp) -> Stamp | None:
        """One way through the loop, given up at the next save, which is then returned."""
        self._hash = constitution.content_hash
        self.watcher.forget()
        first, said = not self._before, list[_Utterance]()
        loop = asyncio.ensure_future(self._loop(constitution, said, first=first))
        save = asyncio.ensure_future(self._next_save(seen))
        try:
            await asyncio.wait([loop, save], return_when=asyncio.FIRST_COMPLETED)
            if not loop.done():
                return save.result()
            try:
                record = loop.result()
            except ConversationFailed as failed:
                self.console.print(Text(visible(f"the {failed.stage}: {failed}"), "red"))
                return None
            self._conclude(record, said, first=first)
            return None
        finally:
            for task in (loop, save):
                task.cancel()
            await asyncio.gather(loop, save, return_exceptions=True)

    async def _loop(
        self, constitution: Constitution, said: list[_Utterance], *, first: bool
    ) -> Record:
        if first:
            self.watcher.begin(self.prompt)

        def on_step(step: Step) -> None:
            now = _heard(step)
            said.append(now)
            if first:
                self.watcher.step(step)
            else:
                self._show_change(step, now)

        return await critique_and_revise(
            self.prompt,
            constitution,
            self.roles,
            self.settings,
            on_step=on_step,
            on_text=self.watcher.on_text,
        )

    def _show_change(self, step: Step, now: _Utterance) -> None:
        before = {one.place: one.text for one in self._before}.get(now.place)
        if before == now.text:
            return
        if before is None or isinstance(step.said, Verdict):
            self.watcher.step(step)
        else:
            self.watcher.changed(step, before, now.text)

    def _conclude(self, record: Record, said: Sequence[_Utterance], *, first: bool) -> None:
        if first:
            self.watcher.conclude(record)
        elif [one.text for one in said] == [one.text for one in self._before]:
            self.console.print(Text("nothing reads differently", "dim"))
        self._before = list(said)

    def _reload(self) -> Constitution | None:
        """The edited constitution; None, with the reason shown, if there is nothing to do."""
        self._files = constitution_files(self.source)
        try:
            edited = for_stakeholder(load_for_judging(self.source), self.settings.stakeholder)
        except InputError as error:
            self.console.print(Text(visible(str(error)), "red"))
            return None
        if edited.content_hash == self._hash:
            self.console.print(Text("saved; nothing that a model reads has changed", "dim"))
            return None
        return edited

    async def _next_save(self, seen: Stamp) -> Stamp:
        while (now := saved(self._files)) == seen or not now:
            await asyncio.sleep(_POLL)
        return now

    def _wait_line(self) -> None:
        name = self._files[0].name
        self.console.print(Text(f"watching {visible(name)}: save to run again, Ctrl-C ends", "dim"))


def _remembering(roles: Roles) -> Roles:
    """The same roles behind one completion cache in memory."""
    cache = CompletionCache(None)
    cached = {id(g): CachedGenerator(g, cache) for g in roles.generators}
    return Roles(**{
        name: replace(role, generator=cached[id(role.generator)]) for name, role in roles
    })


def saved(files: Sequence[Path]) -> Stamp:
    """Name, size and time of every file; empty while one is being replaced."""
    with suppress(OSError):
        stamps = [(path, os.stat(path)) for path in files]
        return tuple((str(path), s.st_size, s.st_mtime_ns) for path, s in stamps)
    return ()


def _heard(step: Step) -> _Utterance:
    principle = step.principle.id if step.principle else ""
    if isinstance(step.said, Verdict):
        word = {True: "broken", False: "kept", None: "no verdict"}[step.said.violates]
        return _Utterance(step.role, step.round, principle, word)
    return _Utterance(step.role, step.round, principle, step.said.strip())
