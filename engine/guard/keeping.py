"""Where the guard writes down what it does: the log, the queue, the breaker, metrics and traces."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from constitution.schema import Severity
from engine.generators.base import Generator
from engine.generators.in_flight import one_conversation
from engine.guard.audit import AuditLog
from engine.guard.breaker import Breaker
from engine.guard.escalation import Queue, Webhook
from engine.guard.metrics import Metrics
from engine.guard.request import Way
from engine.guard.tracing import Tracer
from engine.messages import to_dicts
from engine.records import Record

__all__ = ["Keeping"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """Everything that outlives a request. With `text`, what was asked and answered is kept too."""

    log: AuditLog
    queue: Queue
    breaker: Breaker
    metrics: Metrics
    tracer: Tracer
    webhook: Webhook | None = None
    text: bool = True

    @contextmanager
    def within(self, way: Way, operation: str, model: Generator, seconds: Any) -> Iterator[None]:
        """Requests of the block are of this conversation and a span of its trace, and are timed.

        A generator may yield nothing to a client in it: a stream goes on in another context than it
        began in.
        """
        began = time.perf_counter()
        with one_conversation(way.in_flight), self.tracer.under(way.span, operation, model.spec):
            yield
        seconds.observe(time.perf_counter() - began)

    def note(self, event: str, facts: Mapping[str, Any]) -> None:
        """Log what is not an answer, and tell the webhook."""
        self.log.append(event, facts)
        self._tell({"event": event, **facts})

    def note_breaches(self, way: Way, severities: Mapping[str, Severity]) -> None:
        """Tell the breaker the worst that the model's answer breaks, and the metrics all of it."""
        broken = way.screened.decision.broken
        for principle in broken:
            self.metrics.breaches.labels(principle, severities[principle].value).inc()
        if broken:
            worst = max((severities[name] for name in broken), key=lambda one: one.factor)
            if why := self.breaker.note(worst):
                self.note("breaker", {"open": True, "why": why, "id": way.asked.id})

    def escalate(self, record: Record, tenant: str, grave: list[str]) -> None:
        """Put an answer into the queue, because of these principles or because it is held."""
        self.queue.add(record)
        self.metrics.escalated.inc()
        principles = grave or list(record.unresolved)
        facts = {"id": record.id, "tenant": tenant, "principles": principles}
        self._tell({"event": "escalation", **facts})

    def answered(self, way: Way, done: str, given: str, constitution: str) -> None:
        """Log one request, with what its client was given. Raises StorageFull."""
        way.logged = True
        spent = time.monotonic() - way.began
        self.metrics.requests.labels(done).inc()
        self.metrics.seconds.observe(spent)
        decision = way.screened.decision
        self.tracer.end(way.span, {"done": done, "broken": list(decision.broken)})
        facts: dict[str, Any] = {
            "id": way.asked.id,
            "tenant": way.asked.tenant,
            "done": done,
            "broken": list(decision.broken),
            "undecided": list(decision.undecided),
            "probabilities": {v.principle: v.probability for v in way.screened.verdicts},
            "seconds": round(spent, 4),
            "constitution": constitution,
        }
        if way.why is not None:
            facts["why"] = way.why
        if self.text:
            facts |= {"messages": to_dicts(way.asked.messages), "answer": way.text}
            facts |= {"given": given} if given != way.text else {}
        self.log.append("answer", facts)

    def _tell(self, what: Mapping[str, Any]) -> None:
        if self.webhook:
            self.webhook.tell(what)
