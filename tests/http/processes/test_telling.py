"""How an endpoint says how it is doing: probes, metrics, logs, traces; and that none of them says a key."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cyberun_mcp.http.platform_check import PlatformCheck
from cyberun_mcp.observability.telemetry import exporter_configured
from cyberun_mcp.settings import Settings
from tests.fake_platform import BASE_URL
from tests.http.in_memory import Refusals
from tests.http.processes.calls import KEY, call, request
from tests.http.processes.conftest import PatientPlatform
from tests.http.processes.process import endpoint

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
OTHER = f"00-{'1' * 32}-{'2' * 16}-01"
MARKS = (KEY, "canary0123456789", "X-Amz-Signature=upload")


# --- readiness


class Answering:
    """A platform that answers every request with `status`, or not at all."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if self.status is None:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(self.status)


def upstream(platform: Answering, now: list[float]) -> PlatformCheck:
    transport = httpx2.MockTransport(platform)
    return PlatformCheck(Settings(base_url=BASE_URL), Refusals(), transport, clock=lambda: now[0])


@pytest.mark.parametrize(("status", "expected"), [(200, True), (401, True), (429, True), (503, False), (None, False)])
async def test_the_platform_is_reachable_when_it_answers_if_only_with_a_no(status: int | None, expected: bool) -> None:
    platform, now = Answering(status), [0.0]
    asking = upstream(platform, now)
    assert await asking.is_reachable() is expected
    platform.status = 503 if expected else 200
    now[0] = 4.9
    assert await asking.is_reachable() is expected
    assert len(platform.requests) == 1
    assert "authorization" not in platform.requests[0].headers
    now[0] = 5.0
    assert await asking.is_reachable() is not expected
    await asking.aclose()


async def test_an_endpoint_without_a_platform_lives_but_is_not_ready() -> None:
    with endpoint("http://127.0.0.1:9/api/v1") as ours:
        async with ours.client() as client:
            assert (await client.get("/livez")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.post("/livez")).status_code == 405
            assert (await client.head("/readyz")).status_code == 503


# --- metrics and logs


async def test_numbers_and_log_lines_tell_what_happened_and_no_key_is_among_them(
    cyberun: PatientPlatform, era: str
) -> None:
    with endpoint(cyberun.base_url, "--log-format", "json", "--log-level", "debug") as ours:
        async with ours.client() as client:
            await call(client, era, "list_workflows")
            assert (await call(client, era, "get_workflow", {"workflow_id": f"lame.{era}"}))["structuredContent"]
            await call(client, era, "presign_file_upload", {"body": {"file_name": "a.png"}})
            assert (await call(client, era, "get_task", {"task_id": KEY}))["structuredContent"]["id"] == KEY
            cyberun.release()
            arguments = {"task_id": f"slow.{era}", "timeout_seconds": 600}
            await call(client, era, "stream_task_events", arguments, progressToken="t")
            await client.post("/mcp", headers={"Authorization": f"Bearer {KEY.replace('sk-', 'xx-')}"})
            named = request(era, "list_agents")
            await client.post("/mcp", **{**named, "headers": named["headers"] | {"X-Request-ID": "mine"}})
            numbers = (await client.get("/metrics")).text
        log = ours.log
    for line in (
        'cyberun_mcp_calls_total{outcome="ok",tool="list_workflows"} 1.0',
        'cyberun_mcp_call_seconds_count{tool="stream_task_events"} 1.0',
        "cyberun_mcp_upstream_retries_total 1.0",
        'cyberun_mcp_upstream_requests_total{method="GET",status="503"} 1.0',
        "cyberun_mcp_open_waits 0.0",
        'cyberun_mcp_rejected_requests_total{reason="credential"} 1.0',
    ):
        assert line in numbers, line
    progress = next(line for line in numbers.splitlines() if line.startswith("cyberun_mcp_progress_events_total"))
    assert float(progress.split()[1]) >= 1
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    told = next(each for each in entries if each.get("tool") == "list_agents")
    assert (told["outcome"], told["request_id"], told["level"]) == ("ok", "mine", "info")
    assert {"time", "logger", "message", "ms"} <= set(told)
    for mark in (*MARKS, "slow.", "lame."):
        assert mark not in numbers
    for mark in MARKS:
        assert mark not in log


# --- traces


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what an exporter of OpenTelemetry posts."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []
    handler = type("OneCollector", (Collector,), {"bodies": bodies})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", bodies
        finally:
            server.shutdown()
            thread.join()


def spans_in(bodies: list[bytes]) -> list[Span]:
    batches = [ExportTraceServiceRequest.FromString(each) for each in bodies]
    scopes = [scope for batch in batches for resource in batch.resource_spans for scope in resource.scope_spans]
    return [span for scope in scopes for span in scope.spans]


@pytest.mark.parametrize("carrier", ["meta", "header"])
async def test_a_trace_goes_from_the_caller_through_us_to_the_platform(
    cyberun: PatientPlatform, era: str, carrier: str
) -> None:
    sent = request(era, "list_agents", traceparent=TRACEPARENT) if carrier == "meta" else request(era, "list_agents")
    sent["headers"] |= {"traceparent": TRACEPARENT if carrier == "header" else OTHER}
    leaky = request(era, KEY)
    with collector() as (url, bodies), endpoint(cyberun.base_url, OTEL_EXPORTER_OTLP_ENDPOINT=url) as ours:
        async with ours.client() as client:
            assert (await client.post("/mcp", **sent)).is_success
            await client.post("/mcp", **leaky)
        ours.process.terminate()
        assert ours.ended() == 0
    spans = [span for span in spans_in(bodies) if span.trace_id.hex() == TRACE]
    ours_span = next(span for span in spans if span.name == "tools/call list_agents")
    upstream_span = next(span for span in spans if span.name == "GET")
    assert ours_span.parent_span_id.hex() == PARENT
    assert upstream_span.parent_span_id == ours_span.span_id
    [seen] = [each for each in cyberun.requests if each.path.startswith("/api/v1/r/agents")]
    assert seen.headers["traceparent"] == f"00-{TRACE}-{upstream_span.span_id.hex()}-01"
    assert "tools/call sk-…" in {span.name for span in spans_in(bodies)}
    assert not [mark for mark in MARKS if mark.encode() in b"".join(bodies)]


async def test_without_an_exporter_no_trace_leaves_and_nothing_of_it_is_loaded(
    cyberun: PatientPlatform, era: str
) -> None:
    with endpoint(cyberun.base_url, PYTHONVERBOSE="1") as ours:
        async with ours.client() as client:
            sent = request(era, "list_agents", traceparent=TRACEPARENT)
            sent["headers"] |= {"traceparent": TRACEPARENT}
            assert (await client.post("/mcp", **sent)).is_success
        assert "opentelemetry.sdk" not in ours.log
        assert "import 'opentelemetry" in ours.log
    assert not [each for each in cyberun.requests if "traceparent" in each.headers]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
    ],
)
def test_traces_are_off_unless_an_exporter_is_configured(variables: dict[str, str], expected: bool) -> None:
    assert exporter_configured(variables) is expected
