"""A guard over functions in place of models, with its files in a directory."""

import asyncio
from contextlib import contextmanager

from constitution.schema import Constitution, Principle
from engine.generators.base import Choice, GenerationError, Sampling
from engine.guard.audit import AuditLog
from engine.guard.breaker import Breaker, read_rules
from engine.guard.escalation import Queue
from engine.guard.guard import Guard
from engine.guard.keeping import Keeping
from engine.guard.metrics import Metrics
from engine.guard.redaction import Redactor
from engine.guard.request import Answered, Asked
from engine.guard.settings import GuardSettings
from engine.guard.tenants import Tenant
from engine.guard.tracing import Tracer
from engine.messages import Message
from engine.settings import LoopSettings, roles
from tests.engine.builders import Replies

KEEPS, BREAKS = Choice((0.02, 0.98), 1.0), Choice((0.98, 0.02), 1.0)


def rules(**severities) -> Constitution:
    """A principle of each name, judged, of that severity."""
    principles = (
        Principle(id=name, statement=f"The assistant keeps {name}.", severity=severity)
        for name, severity in severities.items()
    )
    return Constitution(name="rules", principles=tuple(principles), refusal="No.")


class Writing(Replies):
    """Writes each answer in pieces, if it is listened to."""

    def __init__(self, reply, verdict=None, pieces=None):
        super().__init__(reply, verdict)
        self.pieces = pieces

    async def generate(self, request):
        completion = await super().generate(request)
        if request.on_text and self.pieces is not None:
            for end in [*self.pieces, len(completion.text)]:
                request.on_text(completion.text[:end])
                await asyncio.sleep(0)
        return completion


def finding(**wrong):
    """A judge that finds a principle broken where one of its words is in the reply; None: it fails."""

    def verdict(messages):
        asked = messages[-1].content
        reply = asked.partition("<reply>")[2].partition("</reply>")[0]
        question = asked.partition("</reply>")[2]
        for name, word in wrong.items():
            if f"keeps {name}" in question:
                if word is None:
                    return GenerationError("server_error", "the judge is gone")
                return BREAKS if word in reply else KEEPS
        return KEEPS

    return verdict


@contextmanager
def guard(directory, constitution, model, *, judge=None, rule="", loop=None, text=True, **settings):
    redactor = Redactor()
    log, queue = AuditLog(directory, redactor), Queue(directory, redactor)
    breaker = Breaker(directory, read_rules(rule) if rule else ())
    keeping = Keeping(log, queue, breaker, Metrics(), Tracer(), text=text)
    loop = loop or LoopSettings(framing="direct")
    try:
        yield Guard(
            constitution, roles(model, judge=judge), GuardSettings(**settings), loop, keeping
        )
    finally:
        queue.close()
        log.close()


def asked(text="What should I do?", *, id="r1", profile=None, **fields) -> Asked:
    return Asked(
        id, "anyone", profile or Tenant(), (Message("user", text),), Sampling(), seed=1, **fields
    )


async def streamed(one: Guard, request: Asked, window) -> tuple[list[str], Answered]:
    """The pieces that left while the answer was written, and what came of it."""
    *pieces, answered = [piece async for piece in one.stream(request, window)]
    return pieces, answered
