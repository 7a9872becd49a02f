"""The events of a server's work that can be counted or traced, and which of the implementations this process uses.

`Telemetry` ignores every event, `metrics.Metrics` counts them, and `tracing.TracedMetrics` also traces them.
"""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    import httpx2

    from cyberun_mcp.observability.metrics import Metrics

logger = logging.getLogger(__name__)

UNANSWERED = 0


@dataclass
class PlatformRequest:
    """One request to the platform. `status` is UNANSWERED until the head of the response has arrived."""

    status: int = UNANSWERED


class Telemetry:
    """Ignores every event, which is all that stdio needs. Subclasses override the events they record.

    `traces` is True if the SDK's spans are wanted.
    """

    traces = False

    def call_started(self, tool: str) -> None:
        """A tool call has started."""

    def call_ended(self, tool: str, outcome: str, seconds: float) -> None:
        """A tool call has ended; `outcome` is "ok", "error" or "cancelled"."""

    def progress_sent(self) -> None:
        """A progress message has been sent to a client."""

    def rejected(self, reason: str) -> None:
        """An HTTP request was rejected before it reached a tool."""

    def retried(self) -> None:
        """A request to the platform is being sent again."""

    @contextmanager
    def platform_request(self, request: "httpx2.Request") -> Iterator[PlatformRequest]:
        """Surround one request to the platform, up to the head of its response. May add headers to the request."""
        yield PlatformRequest()


NO_TELEMETRY = Telemetry()


@asynccontextmanager
async def process_telemetry(environ: Mapping[str, str]) -> AsyncIterator["Metrics"]:
    """Metrics for this process, with traces if `environ` configures an exporter; the end sends the last spans."""
    from cyberun_mcp.observability.metrics import Metrics

    if not exporter_configured(environ):
        yield Metrics()
        return
    try:
        from cyberun_mcp.observability.tracing import TracedMetrics, export_traces

        stop = export_traces()
    except ImportError as error:
        logger.warning(
            "OTEL_ variables ask for traces, which need an extra: pip install 'cyberun-mcp[otel]' (%s)", error
        )
        yield Metrics()
        return
    try:
        yield TracedMetrics()
    finally:
        await anyio.to_thread.run_sync(stop)


def exporter_configured(environ: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces. If not, its SDK is never loaded."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    names = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environ.get(name) for name in names)
