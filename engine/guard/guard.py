"""The guard: what a model answers is screened, and passed on, revised, refused or held."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import cache, partial

from constitution.schema import Constitution, Principle, Severity
from constitution.selection import applicable, draw_profile
from engine.generators.base import Completion, GenerationError, GeneratorUnavailable, Request
from engine.generators.reasoning import split_reasoning
from engine.guard.escalation import escalated
from engine.guard.keeping import Keeping
from engine.guard.policy import severities_of
from engine.guard.request import Answered, Asked, Done, Way
from engine.guard.screening import Screened, Screening, partial_principles
from engine.guard.settings import GuardSettings
from engine.guard.window import StreamWindow
from engine.loop.asking import ConversationFailed
from engine.loop.critique_revise import critique_and_revise
from engine.loop.reply import reply_of
from engine.prompts.sources import Prompt
from engine.records import Record, Verdict
from engine.settings import LoopSettings, Roles

__all__ = ["Guard"]

Principles = tuple[Principle, ...]


class Guard:
    """Answers for one constitution and its models. Calls are concurrent."""

    def __init__(
        self,
        constitution: Constitution,
        roles: Roles,
        settings: GuardSettings,
        loop: LoopSettings,
        keeping: Keeping,
    ) -> None:
        self.constitution = constitution
        self.roles = roles
        self.settings = settings
        self.keeping = keeping
        self._loop = loop
        self._screening = Screening(constitution, roles.judge, settings, loop)
        self._severities = severities_of(constitution)
        self._given = {
            "refused": constitution.refusal or settings.refusal,
            "held": settings.held,
            "stopped": settings.fallback,
        }
        self._tags = tuple({tag for p in constitution.principles for tag in p.applies_to.tags})
        self._applying = cache(self._principles)

    async def answer(self, asked: Asked) -> Answered:
        """Raises GenerationError and GeneratorUnavailable as the model that answers does, and
        StorageFull where what was done cannot be written down."""
        async with aclosing(self.stream(asked, None)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answered):
                    return piece
        raise RuntimeError("a stream ended without an answer")

    async def stream(
        self, asked: Asked, window: int | None
    ) -> AsyncGenerator[str | Answered, None]:
        """Pieces of the answer as they may leave, each after it was screened, and then what came of
        it all. Raises as `answer` does."""
        way = self._way(asked)
        with self.keeping.metrics.in_flight.track_inprogress():
            try:
                async with aclosing(self._pieces(way, window)) as pieces:
                    async for piece in pieces:
                        way.released += piece
                        yield piece
                done = await self._conclude(way)
                answered = way.answered(done, self._text_of(way, done))
                self._log(way, done, answered.text)
                yield answered
            except (GenerationError, GeneratorUnavailable) as error:
                way.why = str(error)
                self._log(way, "failed", way.released)
                raise
            finally:
                if not way.logged:  # the client is gone
                    self._log(way, "interrupted", way.released)

    def _way(self, asked: Asked) -> Way:
        profile = asked.profile
        tags = self._tags if profile.tags is None else profile.tags
        ours = draw_profile(self._loop.stakeholder, prompt_id=asked.id, seed=self._loop.seed)
        stakeholder = profile.stakeholder or ours
        whole, begun = self._applying(tags, stakeholder)
        prompt = Prompt(asked.id, 0, asked.messages, tags, {"tenant": asked.tenant})
        span = self.keeping.tracer.begin("guard", {"id": asked.id, "tenant": asked.tenant})
        return Way(asked, prompt, stakeholder, whole, begun, span)

    def _principles(
        self, tags: tuple[str, ...], stakeholder: str | None
    ) -> tuple[Principles, Principles]:
        """Those that a whole answer is held against, and those that its beginning is."""
        applying = applicable(self.constitution, tags, stakeholder)
        whole = tuple(principle for principle, _ in applying)
        return whole, partial_principles(whole)

    # Writing the answer -------------------------------------------------------------------------

    async def _pieces(self, way: Way, size: int | None) -> AsyncGenerator[str, None]:
        """What may leave of the answer while it is written; in the end all of it is in `way`, unless
        it was not to be written, or no further."""
        if self._is_stopped(way) or await self._refuses_request(way):
            return
        window, grown = StreamWindow(size) if size else None, asyncio.Event()
        on_text = partial(_grow, window, grown, way.asked.stop) if window else None
        writing = asyncio.ensure_future(self._write(way, on_text))
        writing.add_done_callback(lambda task: grown.set())
        try:
            while window and not writing.done():
                await grown.wait()
                grown.clear()
                while (begun := window.due()) is not None:
                    await self._screen_begun(way, window, begun)
                    if self._is_stopped(way):
                        return
                    if piece := window.release():
                        yield piece
            way.completion = await writing
        finally:
            writing.cancel()

    async def _screen_begun(self, way: Way, window: StreamWindow, begun: str) -> None:
        screened = await self._screen(way, way.partial, begun)
        if screened.decision.action == "pass":
            window.passed(begun)
        else:
            window.alarm()

    async def _write(self, way: Way, on_text: Callable[[str], None] | None) -> Completion:
        policy, asked = self.roles.policy.generator, way.asked
        with self.keeping.within(way, "chat", policy, self.keeping.metrics.model_seconds):
            request = Request(asked.messages, asked.sampling, asked.seed, 0, on_text)
            return await policy.generate(request)

    async def _screen(self, way: Way, principles: Principles, text: str) -> Screened:
        judge = self.roles.judge.generator
        with self.keeping.within(way, "screen", judge, self.keeping.metrics.judge_seconds):
            return await self._screening.answer(principles, way.asked.messages, text)

    # Deciding -----------------------------------------------------------------------------------

    def _is_stopped(self, way: Way) -> bool:
        why = self.keeping.breaker.why()
        way.why = why or way.why
        return why is not None

    async def _refuses_request(self, way: Way) -> bool:
        way.why = await self._screening.request(way.asked.messages)
        return way.why is not None

    async def _conclude(self, way: Way) -> Done:
        """What the client is given, once the whole answer has been screened."""
        if way.completion is None:
            return "stopped" if self._is_stopped(way) else "refused"
        way.text = _until(reply_of(way.completion).text, way.asked.stop)
        way.screened = await self._screen(way, way.principles, way.text)
        done = await self._decided(way)
        self.keeping.note_breaches(way, self._severities)
        self._escalate(way, held=done == "held")
        return "stopped" if self._is_stopped(way) else done

    async def _decided(self, way: Way) -> Done:
        match way.screened.decision.action:
            case "pass" if way.text.startswith(way.released.rstrip()):
                return "passed"
            case "hold":
                return "held"
            case "revise" if not way.released:
                way.revision = await self._revised(way)
                return "revised" if way.revision else "refused"
        return "refused"

    async def _revised(self, way: Way) -> Record | None:
        """The answer revised, if in time, and if what stands in the end may pass."""
        loop = self._loop.model_copy(update={"stakeholder": way.stakeholder})
        reviser = self.roles.reviser.generator
        try:
            with self.keeping.within(way, "revise", reviser, self.keeping.metrics.revise_seconds):
                async with asyncio.timeout(self.settings.budget):
                    record = await critique_and_revise(
                        way.prompt,
                        self.constitution,
                        self.roles,
                        loop,
                        answer=way.text,
                        verdicts=way.screened.verdicts,
                    )
        except (TimeoutError, ConversationFailed, GeneratorUnavailable) as error:
            way.why = f"could not be revised: {error or type(error).__name__}"
            return None
        judged = {verdict.principle for verdict in record.final_verdicts}
        whole = judged >= {principle.id for principle in way.principles}
        passes = self._screening.decided(record.final_verdicts).action == "pass"
        return record if whole and passes and record.final else None

    def _escalate(self, way: Way, *, held: bool) -> None:
        """What is held, and a critical breach of which the judge is sure, goes to a person."""
        verdicts = way.screened.verdicts
        grave = [verdict.principle for verdict in verdicts if self._is_grave(verdict)]
        if grave or held:
            record = escalated(way.prompt, way.text, verdicts, self.constitution, self.roles)
            self.keeping.escalate(record, way.asked.tenant, grave)

    def _is_grave(self, verdict: Verdict) -> bool:
        critical = self._severities[verdict.principle] is Severity.CRITICAL
        sure = (verdict.probability or 0.0) >= self.settings.escalate_from
        return critical and sure and verdict.violates is True

    def _text_of(self, way: Way, done: Done) -> str:
        if done == "revised" and way.revision is not None:
            return way.revision.final
        return self._given.get(done, way.text)

    def _log(self, way: Way, done: str, given: str) -> None:
        self.keeping.answered(way, done, given, self.constitution.content_hash)


def _grow(window: StreamWindow, grown: asyncio.Event, stop: tuple[str, ...], text: str) -> None:
    """What a model has written so far, as it may be answered: without its reasoning."""
    window.grow(_until(split_reasoning(text)[0].lstrip(), stop))
    grown.set()


def _until(text: str, stop: tuple[str, ...]) -> str:
    """`text` up to the first of the texts that stop it."""
    found = [at for at in map(text.find, stop) if at >= 0]
    return text[: min(found)] if found else text
