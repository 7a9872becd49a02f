"""Traces, where an OpenTelemetry exporter is configured: the SDK's spans of calls, and spans of upstream requests.

A trace begins with the caller (`_meta.traceparent`, or the HTTP header), and goes on to the platform. Keys are redacted
out of every span before it leaves, because span names and errors may quote what a client sent.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cyberun_mcp import __version__
from cyberun_mcp.observability.metrics import Metrics
from cyberun_mcp.observability.telemetry import Exchange
from cyberun_mcp.redaction import redact

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

_PROPAGATOR = TraceContextTextMapPropagator()  # the trace alone: baggage may hold what is nobody else's business


class TracedMetrics(Metrics):
    """Metrics that also give each upstream request a span, and the platform the trace it belongs to."""

    traces = True

    def __init__(self) -> None:
        super().__init__()
        self._tracer = trace.get_tracer("cyberun-mcp", __version__)

    @contextmanager
    def upstream(self, request: "httpx2.Request") -> Iterator[Exchange]:
        known = {
            "http.request.method": request.method,
            "server.address": request.url.host,
            "url.path": request.url.path,
        }
        with (
            self._tracer.start_as_current_span(request.method, kind=SpanKind.CLIENT, attributes=known) as span,
            super().upstream(request) as exchange,
        ):
            _PROPAGATOR.inject(request.headers)
            try:
                yield exchange
            finally:
                if exchange.status:
                    span.set_attribute("http.response.status_code", exchange.status)
                if exchange.status >= 400:
                    span.set_status(StatusCode.ERROR)


def export_traces(exporter: SpanExporter | None = None) -> Callable[[], None]:
    """Send every span of this process to `exporter`, by default the one the OTEL_ variables describe (OTLP over HTTP).

    Returns what sends the last ones and stops.
    """
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    ours = Resource({SERVICE_NAME: "cyberun-mcp", SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(RedactingExporter(exporter)))
    trace.set_tracer_provider(provider)
    return provider.shutdown


class RedactingExporter(SpanExporter):
    """Hands spans on without credentials: the SDK puts tool names as sent, and errors, into them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_redacted(each) for each in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _redacted(span: ReadableSpan) -> ReadableSpan:
    description = span.status.description
    return ReadableSpan(
        name=redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_redacted_values(span.attributes),
        events=[Event(redact(each.name), _redacted_values(each.attributes), each.timestamp) for each in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, redact(description) if description else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _redacted_values(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    values = (attributes or {}).items()
    return {name: redact(value) if isinstance(value, str) else value for name, value in values}
