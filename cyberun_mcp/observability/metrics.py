"""What `/metrics` says, for Prometheus. Labels are tools, outcomes, methods, statuses: never an id, a slug or a key."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    multiprocess,
)

from cyberun_mcp.observability.telemetry import Exchange, Telemetry

if TYPE_CHECKING:
    import httpx2

# Where the workers of one endpoint keep their numbers, so that each can answer for all; prometheus_client's own name.
SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
WAIT = "stream_task_events"

# Seconds. A call is between a few milliseconds and the hour a wait may last; a request is over within a minute.
_CALL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_UPSTREAM_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics(Telemetry):
    """Counts what it is told, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        name = "cyberun_mcp_"
        self._calls = Counter(f"{name}calls", "Tool calls.", ["tool", "outcome"], registry=registry)
        self._call_seconds = Histogram(
            f"{name}call_seconds", "Time of a tool call.", ["tool"], buckets=_CALL_SECONDS, registry=registry
        )
        self._open_calls = Gauge(
            f"{name}open_calls", "Tool calls running now.", multiprocess_mode="livesum", registry=registry
        )
        self._open_waits = Gauge(
            f"{name}open_waits", "Waits for a task running now.", multiprocess_mode="livesum", registry=registry
        )
        self._progress = Counter(f"{name}progress_events", "Progress messages sent to clients.", registry=registry)
        self._refused = Counter(f"{name}rejected_requests", "Requests turned away.", ["reason"], registry=registry)
        self._upstream = Counter(
            f"{name}upstream_requests", "Requests to the platform.", ["method", "status"], registry=registry
        )
        self._upstream_seconds = Histogram(
            f"{name}upstream_seconds",
            "Time until the platform begins to answer.",
            ["method"],
            buckets=_UPSTREAM_SECONDS,
            registry=registry,
        )
        self._retries = Counter(f"{name}upstream_retries", "Requests sent to the platform again.", registry=registry)
        if SHARED_DIRECTORY not in os.environ:
            ProcessCollector(registry=registry)

    def call_began(self, tool: str) -> None:
        self._open_calls.inc()
        if tool == WAIT:
            self._open_waits.inc()

    def call_ended(self, tool: str, outcome: str, seconds: float) -> None:
        self._open_calls.dec()
        if tool == WAIT:
            self._open_waits.dec()
        self._calls.labels(tool, outcome).inc()
        self._call_seconds.labels(tool).observe(seconds)

    def progress_sent(self) -> None:
        self._progress.inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def retried(self) -> None:
        self._retries.inc()

    @contextmanager
    def upstream(self, request: "httpx2.Request") -> Iterator[Exchange]:
        exchange, began = Exchange(), time.perf_counter()
        try:
            yield exchange
        finally:
            self._upstream.labels(request.method, str(exchange.status or "unanswered")).inc()
            self._upstream_seconds.labels(request.method).observe(time.perf_counter() - began)

    def exposition(self) -> bytes:
        """All numbers in Prometheus' text format; those of the other workers too, where there are any."""
        registry = self._registry
        if SHARED_DIRECTORY in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_worker(pid: int) -> None:
    """Drop what a worker that is no more had running."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
