"""Prometheus metrics, served at `/metrics`.

Labels are tools, outcomes, methods, statuses and reasons: never an ID, a slug or a key.
"""

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

from cyberun_mcp.observability.telemetry import PlatformRequest, Telemetry

if TYPE_CHECKING:
    import httpx2

# prometheus_client's own variable: the directory that all workers of one endpoint write their numbers to, so that each
# of them can report the sum.
SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
WAIT_TOOL = "stream_task_events"

# Bucket limits in seconds. A call takes from a few milliseconds up to an hour (a wait), a request at most a minute.
_CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
_PLATFORM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics(Telemetry):
    """Counts all events, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        name = "cyberun_mcp_"
        self._calls = Counter(f"{name}calls", "Tool calls.", ["tool", "outcome"], registry=registry)
        self._call_seconds = Histogram(
            f"{name}call_seconds", "Time of a tool call.", ["tool"], buckets=_CALL_BUCKETS, registry=registry
        )
        self._open_calls = Gauge(
            f"{name}open_calls", "Tool calls running now.", multiprocess_mode="livesum", registry=registry
        )
        self._open_waits = Gauge(
            f"{name}open_waits", "Waits for a task running now.", multiprocess_mode="livesum", registry=registry
        )
        self._progress = Counter(f"{name}progress_events", "Progress messages sent to clients.", registry=registry)
        self._rejected = Counter(f"{name}rejected_requests", "Requests turned away.", ["reason"], registry=registry)
        self._platform_requests = Counter(
            f"{name}upstream_requests", "Requests to the platform.", ["method", "status"], registry=registry
        )
        self._platform_seconds = Histogram(
            f"{name}upstream_seconds",
            "Time until the platform begins to answer.",
            ["method"],
            buckets=_PLATFORM_BUCKETS,
            registry=registry,
        )
        self._retries = Counter(f"{name}upstream_retries", "Requests sent to the platform again.", registry=registry)
        if SHARED_DIRECTORY not in os.environ:
            ProcessCollector(registry=registry)

    def call_started(self, tool: str) -> None:
        self._open_calls.inc()
        if tool == WAIT_TOOL:
            self._open_waits.inc()

    def call_ended(self, tool: str, outcome: str, seconds: float) -> None:
        self._open_calls.dec()
        if tool == WAIT_TOOL:
            self._open_waits.dec()
        self._calls.labels(tool, outcome).inc()
        self._call_seconds.labels(tool).observe(seconds)

    def progress_sent(self) -> None:
        self._progress.inc()

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def retried(self) -> None:
        self._retries.inc()

    @contextmanager
    def platform_request(self, request: "httpx2.Request") -> Iterator[PlatformRequest]:
        sent, started = PlatformRequest(), time.perf_counter()
        try:
            yield sent
        finally:
            self._platform_requests.labels(request.method, str(sent.status or "unanswered")).inc()
            self._platform_seconds.labels(request.method).observe(time.perf_counter() - started)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, summed over all workers of this endpoint."""
        registry = self._registry
        if SHARED_DIRECTORY in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def forget_worker(pid: int) -> None:
    """Remove the gauges of a worker that has ended."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
