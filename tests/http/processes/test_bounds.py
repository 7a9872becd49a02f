"""What a client may send before anybody knows who it is: how much, for how long, and what half a request holds up."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import pytest

from tests.http.processes.calls import KEY, call
from tests.http.processes.conftest import PatientPlatform
from tests.http.processes.process import Endpoint, endpoint, until
from tests.http.processes.raw import answers_in, connection, received, until_closed
from tests.parsers import PARSERS, environment_of

ALIVE = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HEAD = (
    b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
    b"Accept: application/json, text/event-stream\r\nContent-Length: 1000\r\n\r\n" % KEY.encode()
)
SHORT = "0.2"  # seconds
LONG = "3600"


@contextmanager
def serving(http_parser: str, base_url: str = "http://127.0.0.1:9/api/v1", **limits: str) -> Iterator[Endpoint]:
    flags = [part for name, value in limits.items() for part in (f"--{name.replace('_', '-')}", value)]
    environment: Any = environment_of(http_parser)
    with endpoint(base_url, *flags, **environment) as started:
        yield started


@pytest.fixture(scope="module", params=PARSERS)
def http_parser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def impatient(http_parser: str) -> Iterator[Endpoint]:
    # Silence has longer, so that no pause of a busy machine between two requests counts as one.
    limits = {"headers_seconds": SHORT, "body_seconds": SHORT, "idle_seconds": "2", "max_body": "0.01"}
    with serving(http_parser, **limits) as started:
        yield started


def statuses(ours: Endpoint, *segments: bytes) -> list[int]:
    return [each.status for each in answers_in(until_closed(ours.url, *segments))]


@pytest.mark.parametrize("half", [b"P", b"POST /mcp HTTP/1.1\r\nHost", HEAD[:-2], HEAD, HEAD + b"{"])
def test_half_a_request_is_answered_and_closed_when_its_time_is_up(impatient: Endpoint, half: bytes) -> None:
    assert statuses(impatient, half) == [408]
    assert statuses(impatient, ALIVE, half) == [200, 408]


def test_a_request_that_trickles_in_has_no_more_time_than_any_other(impatient: Endpoint) -> None:
    for beginning in (b"GET /livez HTTP/1.1\r\nX: ", HEAD):
        with connection(impatient.url) as client:
            client.settimeout(0.02)
            while True:
                client.sendall(b"x")
                try:
                    answer = client.recv(1_000)
                    break
                except TimeoutError:
                    continue
            assert answer.startswith(b"HTTP/1.1 408"), beginning


def test_a_connection_that_says_nothing_is_closed_without_a_word(impatient: Endpoint) -> None:
    with ExitStack() as stack:
        sayings = [b"", ALIVE, b"\r\n\r\n", ALIVE + b"\r\n"]
        clients = [stack.enter_context(connection(impatient.url)) for _ in sayings]
        for client, said in zip(clients, sayings, strict=True):
            client.sendall(said)
        heard = [[each.status for each in answers_in(received(client))] for client in clients]
    assert heard == [[], [200], [], [200]]


def test_a_head_of_a_megabyte_is_refused_unread(impatient: Endpoint) -> None:
    for head in (b"GET /livez?" + b"a" * 2**20, b"GET /livez HTTP/1.1\r\nX: " + b"a" * 2**20, b"G" * 2**20):
        assert statuses(impatient, head) == [431]


def test_a_client_that_is_still_sending_hears_that_its_request_is_too_large(http_parser: str) -> None:
    with serving(http_parser, max_body="0.01") as ours:
        for head in (
            HEAD.replace(b"1000", b"3000000"),
            HEAD.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked"),
        ):
            body = b"2dc6c0\r\n" + b"x" * 3_000_000 + b"\r\n0\r\n\r\n"
            answers = answers_in(until_closed(ours.url, head, body, ALIVE))
            assert [each.status for each in answers] == [413]


async def test_what_is_refused_is_counted(impatient: Endpoint) -> None:
    assert statuses(impatient, b"GET /livez HTTP/1.1\r\n\r\n") == [400]
    assert statuses(impatient, b"G" * 2**20) == [431]
    assert statuses(impatient, HEAD) == [408]
    async with impatient.client() as client:
        numbers = (await client.get("/metrics")).text
    for reason in ("framing", "size", "time"):
        assert f'rejected_requests_total{{reason="{reason}"}}' in numbers


async def test_an_answer_may_take_as_long_as_it_likes(http_parser: str, cyberun: PatientPlatform) -> None:
    limits = dict.fromkeys(("headers_seconds", "body_seconds", "idle_seconds"), "2")
    with serving(http_parser, cyberun.base_url, **limits) as ours:
        async with ours.client() as client, anyio.create_task_group() as tasks:

            async def release() -> None:
                await until(lambda: bool(cyberun.seen("slow.wait", "events")))
                await anyio.sleep(4)  # twice what a request may take to come in
                cyberun.release()

            tasks.start_soon(release)
            answer = await call(client, "legacy", "stream_task_events", {"task_id": "slow.wait"}, progressToken="t")
    assert answer["structuredContent"]["task_status"] == "completed"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")
def test_no_drain_waits_for_what_half_sent_requests_may_become(http_parser: str) -> None:
    limits = dict.fromkeys(("drain_seconds", "headers_seconds", "body_seconds", "idle_seconds"), LONG)
    with serving(http_parser, **limits) as ours, ExitStack() as stack:
        halves = [
            b"",
            ALIVE,
            HEAD[:50],
            HEAD,
            HEAD + b"{",
            HEAD.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length"),
        ]
        clients = [stack.enter_context(connection(ours.url)) for _ in halves]
        for client, half in zip(clients, halves, strict=True):
            client.sendall(half)
        assert until_closed(ours.url, ALIVE.replace(b"Host", b"Connection: close\r\nHost"))  # so those are read too
        ours.signal(signal.SIGTERM)
        assert ours.ended() == 0
        said = [answers_in(received(client)) for client in clients]
        assert [[each.status for each in answers] for answers in said] == [[], [200], [], [503], [503], [503]]
        assert b"send it again" in said[3][0].body
        assert "Traceback" not in ours.log
