"""The remote is down, goes down, restarts, or loses its sessions. The bridge survives all of it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from cyberun_mcp.bridge.relay import STARTUP_WAIT, Relay
from cyberun_mcp.bridge.remote_settings import load_remote_settings
from cyberun_mcp.bridge.stdio import Lines, Output
from tests.bridge.client import ENVELOPE, INITIALIZE_PARAMS, bridge, call
from tests.bridge.remotes import ReceivedRequest, SdkRemote, event, scripted
from tests.bridge.test_error_texts import MAY_HAVE_RUN
from tests.properties.virtual_clock import run_at_once
from tests.waiting import GUARD, wait_until

FIRST_REQUESTS = {
    "initialize": {"id": 1, "method": "initialize", "params": INITIALIZE_PARAMS},
    "server/discover": {"id": 1, "method": "server/discover", "params": {"_meta": ENVELOPE}},
}


@pytest.fixture
def killable_remote(mode: str) -> Iterator[SdkRemote]:
    """An SDK remote that the test may kill."""
    remote = SdkRemote("stateful" if mode == "2025 stateful" else "stateless")
    yield remote
    remote.kill()


def free_port() -> int:
    with scripted() as remote:
        return remote.port


@pytest.mark.parametrize("method", FIRST_REQUESTS)
def test_the_first_request_waits_for_a_remote_that_is_down_and_then_fails(method: str) -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", startup_wait=0.6) as client:
        message = client.request(FIRST_REQUESTS[method])["error"]["message"]
        assert client.reports_waiting
        assert f"http://127.0.0.1:{port}/mcp cannot be reached: connection refused. Nothing was sent." in message
        with scripted(port=port):
            assert client.request({**FIRST_REQUESTS[method], "id": 2})["result"]


class OneLineClient:
    """A client that sends one line; `answered` is set when a line comes back."""

    def __init__(self, line: bytes) -> None:
        self._lines = [line]
        self.blocked = False
        self.answered = asyncio.Event()

    async def read(self) -> bytes:
        return self._lines.pop() if self._lines else await asyncio.Future()

    async def write(self, line: bytes) -> None:
        self.answered.set()


@pytest.mark.parametrize(
    ("method", "startup_wait"), [*((first, STARTUP_WAIT) for first in FIRST_REQUESTS), ("tools/list", 0)]
)
def test_a_first_request_fails_after_the_startup_wait_and_any_other_at_once(
    method: str, startup_wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise ConnectionRefusedError

    async def failed_at() -> float:
        message = FIRST_REQUESTS.get(method, {"id": 1, "method": method, "params": {"_meta": ENVELOPE}})
        client = OneLineClient(json.dumps({"jsonrpc": "2.0", **message}).encode())
        remote = load_remote_settings("http://127.0.0.1:9/mcp", [], None, allow_http=True, environ={})
        relay = Relay(remote, cast("Output", client), STARTUP_WAIT)
        running = asyncio.create_task(relay.run(cast("Lines", client)))
        await client.answered.wait()
        running.cancel()
        return asyncio.get_running_loop().time()

    monkeypatch.setattr("cyberun_mcp.bridge.connect._connect", refuse)
    assert startup_wait - 1 <= run_at_once(failed_at) <= startup_wait  # it tries once a second


@pytest.mark.parametrize("method", FIRST_REQUESTS)
def test_the_first_request_is_answered_as_soon_as_the_remote_is_up(method: str) -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", startup_wait=GUARD) as client:
        client.send(FIRST_REQUESTS[method])
        wait_until(lambda: client.reports_waiting)
        with scripted(port=port) as remote:
            assert client.receive()["result"]
            assert remote.methods() == [method]


def test_messages_behind_initialize_wait_with_it() -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", startup_wait=GUARD) as client:
        client.send(
            FIRST_REQUESTS["initialize"], {"method": "notifications/initialized"}, {"id": 2, "method": "tools/list"}
        )
        wait_until(lambda: client.reports_waiting)
        with scripted(port=port) as remote:
            assert [client.receive()["id"], client.receive()["id"]] == [1, 2]
            assert remote.methods() == ["initialize", "notifications/initialized", "tools/list"]


def test_the_first_request_also_waits_for_a_load_balancer_without_backends() -> None:
    with scripted() as remote, bridge(remote.url) as client:
        remote.script = lambda request: request.respond(503) if len(remote.received) < 3 else request.send_result()
        assert client.request(FIRST_REQUESTS["initialize"])["result"]


def test_the_next_call_opens_a_session_if_initialize_has_failed() -> None:
    port = free_port()
    with bridge(f"http://127.0.0.1:{port}/mcp", startup_wait=0) as client:
        assert client.request(FIRST_REQUESTS["initialize"])["error"]
        with scripted(port=port) as remote:
            client.send(call(2, {}), call(3, {}), call(4, {}))
            assert all("result" in client.receive() for _ in range(3))
            assert remote.methods() == ["initialize", "notifications/initialized", *["tools/call"] * 3]


def test_a_remote_that_is_killed_during_a_call_and_restarted(
    killable_remote: SdkRemote, mode: str, call_era: str
) -> None:
    with bridge(killable_remote.url) as client:
        if call_era == "legacy":
            client.initialize()
        assert client.request(call(1, {"tag": "before"}, call_era))["result"]
        client.send(call(2, {"tag": "lost", "seconds": 3600}, call_era, token="t"))
        killable_remote.wait_for("begun lost")
        killable_remote.kill()
        message = client.response_to(2)["error"]["message"]
        assert MAY_HAVE_RUN in message
        message = client.request(call(3, {}, call_era))["error"]["message"]
        assert "cannot be reached: connection refused. Nothing was sent." in message
        killable_remote.start()
        assert client.request(call(4, {"tag": "after"}, call_era))["result"]["content"][0]["text"] == "after"


class ForgetfulRemote:
    """A stateful remote that can lose its sessions."""

    def __init__(self) -> None:
        self.session = 0
        self.known = True
        self.always = False

    def __call__(self, request: ReceivedRequest) -> None:
        if request.http_method != "POST":
            return request.respond(405)
        if request.message["method"] == "initialize":
            self.session += 1
            self.known = not self.always
            return request.send_result(Mcp_Session_Id=f"s{self.session}")
        if self.known and request.headers.get("mcp-session-id") == f"s{self.session}":
            return request.send_result()
        body = b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}'
        return request.respond(404, body)


def test_a_lost_session_is_reopened_once_and_every_call_is_sent_again() -> None:
    forgetful = ForgetfulRemote()
    with scripted(forgetful) as remote, bridge(remote.url) as client:
        client.initialize()
        client.request({"id": 1, "method": "tools/list"})
        forgetful.session += 100
        client.send(*(call(number, {}) for number in range(10, 20)))
        responses = [client.receive() for _ in range(10)]
    assert all("result" in response for response in responses)
    assert remote.methods().count("initialize") == 2
    replayed = [
        request
        for request in remote.received
        if request.http_method == "POST" and request.message["method"] == "initialize"
    ]
    assert replayed[0].body == replayed[1].body
    assert "mcp-session-id" not in replayed[1].headers


def test_unsolicited_messages_also_arrive_in_a_reopened_session() -> None:
    forgetful, over = ForgetfulRemote(), threading.Event()

    def script(request: ReceivedRequest) -> None:
        if request.http_method != "GET":
            return forgetful(request)
        session = request.headers["mcp-session-id"]
        request.start_stream()(event({"jsonrpc": "2.0", "method": f"notifications/{session}"}))
        over.wait(GUARD)
        return None

    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        assert client.receive()["method"] == "notifications/s1"
        forgetful.session = 7
        client.send(call(1, {}))
        assert {client.receive().get("method"), client.receive().get("method")} == {None, "notifications/s8"}
        over.set()


def test_a_session_that_is_lost_again_and_again_ends_in_an_error() -> None:
    forgetful = ForgetfulRemote()
    with scripted(forgetful) as remote, bridge(remote.url) as client:
        client.initialize()
        client.request({"id": 1, "method": "tools/list"})
        forgetful.known, forgetful.always = False, True
        message = client.request(call(2, {}))["error"]["message"]
        assert "lost the new one at once. The request was not carried out." in message
        forgetful.known, forgetful.always = True, False
        assert client.request(call(3, {}))["result"]
    assert len(remote.received) < 15


def test_a_session_that_cannot_be_reopened_reports_the_reason() -> None:
    forgetful = ForgetfulRemote()
    with scripted(forgetful) as remote, bridge(remote.url) as client:
        client.initialize()
        client.request({"id": 1, "method": "tools/list"})
        remote.script = lambda request: request.respond(401 if request.message["method"] == "initialize" else 404)
        assert "CYBERUN_API_KEY" in client.request(call(2, {}))["error"]["message"]
        remote.script = forgetful
        assert client.request(call(3, {}))["result"]


def test_a_slow_remote_is_not_retried() -> None:
    release = threading.Event()

    def slow(request: ReceivedRequest) -> None:
        release.wait(GUARD)
        request.send_result()

    with scripted(slow) as remote, bridge(remote.url, startup_wait=0) as client:
        client.send(FIRST_REQUESTS["initialize"])
        wait_until(lambda: remote.received != [])
        release.set()
        assert client.receive()["result"]
    assert len(remote.received) == 1
