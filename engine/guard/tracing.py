"""OpenTelemetry traces, where its SDK is installed and the environment says where they go.

Names are those of OpenTelemetry's semantic conventions for generative AI; no text is in them.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["Tracer"]

_ASKED_FOR = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracer:
    """Spans of what the guard does; nothing unless $OTEL_EXPORTER_OTLP_ENDPOINT, or a `provider`, says
    where they go."""

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider or _exporting()
        self._tracer = self._provider.get_tracer("solon.guard") if self._provider else None

    def begin(self, name: str, facts: Mapping[str, Any]) -> Any:
        """A span of its own, for `end`; None where nothing is traced."""
        return self._tracer.start_span(name, attributes=_named(facts)) if self._tracer else None

    def end(self, span: Any, facts: Mapping[str, Any]) -> None:
        """End what `begin` began, with what came of it."""
        if span is not None:
            span.set_attributes(_named(facts))
            span.end()

    @contextmanager
    def under(self, parent: Any, operation: str, model: str) -> Iterator[None]:
        """A span of the block, under one that `begin` began."""
        if parent is None or self._tracer is None:
            yield
            return
        from opentelemetry.trace import set_span_in_context

        attributes = {"gen_ai.operation.name": operation, "gen_ai.request.model": model}
        with self._tracer.start_as_current_span(
            f"{operation} {model}", set_span_in_context(parent), attributes=attributes
        ):
            yield

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def _named(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"solon.{name}": value for name, value in facts.items()}


def _exporting() -> Any:
    if not any(os.environ.get(name) for name in _ASKED_FOR):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        return None
    name = os.environ.get("OTEL_SERVICE_NAME", "solon-guard")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
