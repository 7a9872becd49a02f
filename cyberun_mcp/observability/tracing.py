"""OpenTelemetry traces: the SDK's spans of tool calls, and our spans of requests to the platform.

Loaded only if an exporter is configured. A trace starts at the caller (`_meta.traceparent`, or the HTTP header) and
continues at the platform. Keys are redacted from every span before it is exported, because span names and errors may
quote what a client sent.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from cyberun_mcp import __version__
from cyberun_mcp.observability.metrics import Metrics
from cyberun_mcp.observability.telemetry import PlatformRequest
from cyberun_mcp.redaction import redact

if TYPE_CHECKING:
    import httpx2

logger = logging.getLogger(__name__)

_PROPAGATOR = TraceContextTextMapPropagator()  # no baggage: it may be confidential


class TracedMetrics(Metrics):
    """Metrics that also make a span of each request to the platform, and send the trace context along."""

    traces = True

    def __init__(self) -> None:
        super().__init__()
        self._tracer = trace.get_tracer("cyberun-mcp", __version__)

    @contextmanager
    def platform_request(self, request: "httpx2.Request") -> Iterator[PlatformRequest]:
        attributes = {
            "http.request.method": request.method,
            "server.address": request.url.host,
            "url.path": request.url.path,
        }
        with (
            self._tracer.start_as_current_span(request.method, kind=SpanKind.CLIENT, attributes=attributes) as span,
            super().platform_request(request) as sent,
        ):
            _PROPAGATOR.inject(request.headers)
            try:
                yield sent
            finally:
                if sent.status:
                    span.set_attribute("http.response.status_code", sent.status)
                if sent.status >= 400:
                    span.set_status(StatusCode.ERROR)


class TraceContext:
    """ASGI middleware: the `traceparent` header becomes the parent of the request's spans.

    A `traceparent` in `_meta` belongs to the call itself, so the SDK prefers it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        token = context.attach(_PROPAGATOR.extract(Headers(scope=scope)))
        try:
            return await self.app(scope, receive, send)
        finally:
            context.detach(token)


def export_traces(exporter: SpanExporter | None = None) -> Callable[[], None]:
    """Export every span of this process to `exporter`; the default is OTLP over HTTP, as the OTEL_ variables say.

    Returns a function that sends the last spans and stops.
    """
    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    resource = Resource({SERVICE_NAME: "cyberun-mcp", SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(RedactingExporter(exporter)))
    trace.set_tracer_provider(provider)
    return provider.shutdown


class RedactingExporter(SpanExporter):
    """Removes credentials from spans: the SDK puts errors, and tool names as they were sent, into them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_redacted(span) for span in spans])

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
        events=[
            Event(redact(event.name), _redacted_values(event.attributes), event.timestamp) for event in span.events
        ],
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
