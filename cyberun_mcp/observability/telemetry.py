"""What a server tells about its work. `Telemetry` listens to nothing; `metrics.Metrics` counts, `tracing` follows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

UNANSWERED = 0


@dataclass
class Exchange:
    """One request to the platform; `status` is UNANSWERED until an answer has begun."""

    status: int = UNANSWERED


class Telemetry:
    """A listener that does nothing, which is what stdio needs. Others override what they want to hear.

    `traces` tells whether anybody wants the SDK's spans, and those they belong to.
    """

    traces = False

    def call_began(self, tool: str) -> None:
        """A tool has been called."""

    def call_ended(self, tool: str, outcome: str, seconds: float) -> None:
        """It is over: `outcome` is ok, error or cancelled."""

    def progress_sent(self) -> None:
        """One progress message is on its way to a client."""

    def refused(self, reason: str) -> None:
        """A request was turned away at the edge."""

    def retried(self) -> None:
        """A request to the platform is sent again."""

    @contextmanager
    def upstream(self, request: "httpx2.Request") -> Iterator[Exchange]:
        """Around one request to the platform, up to the head of its answer; may add headers to it."""
        yield Exchange()


SILENT = Telemetry()


def exporter_configured(environ: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces; nothing of it is loaded otherwise."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    named = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environ.get(name) for name in named)
