"""What Prometheus is told: counts and times, and no text."""

from typing import Any

from constitution.problems import missing

__all__ = ["Metrics"]

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """Counters of one guard, in a registry of their own. Raises InputError where prometheus_client is
    missing."""

    def __init__(self) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError as error:
            raise missing("solon serve", "prometheus-client", "serve") from error
        self.registry: Any = CollectorRegistry()
        own: Any = {"registry": self.registry}
        self.requests: Any = Counter(
            "solon_requests", "Requests by what the client was given.", ["done"], **own
        )
        self.turned_away: Any = Counter(
            "solon_turned_away", "Requests that were not taken, by why.", ["why"], **own
        )
        self.breaches: Any = Counter(
            "solon_breaches", "Answers of the model that break a principle.",
            ["principle", "severity"], **own,
        )  # fmt: skip
        self.escalated: Any = Counter("solon_escalated", "Answers that wait for a person.", **own)
        self.in_flight: Any = Gauge("solon_in_flight", "Requests being answered.", **own)
        self.breaker: Any = Gauge("solon_breaker_open", "1 while nothing is answered.", **own)
        self.seconds: Any = Histogram(
            "solon_request_seconds", "From the request to its answer.", buckets=_SECONDS, **own
        )
        self.model_seconds: Any = Histogram(
            "solon_model_seconds", "Of the model that answers.", buckets=_SECONDS, **own
        )
        self.revise_seconds: Any = Histogram(
            "solon_revise_seconds", "Of revising an answer.", buckets=_SECONDS, **own
        )
        self.judge_seconds: Any = Histogram(
            "solon_judge_seconds", "Of all verdicts on a text.", buckets=_SECONDS, **own
        )

    def page(self) -> bytes:
        """In the format that Prometheus reads."""
        from prometheus_client import generate_latest

        return bytes(generate_latest(self.registry))
