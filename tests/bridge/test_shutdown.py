"""The bridge ends when its client does, at once and without a trace; and it starts with little."""

import json
import signal
import subprocess
import sys
import threading

import pytest

from tests.bridge.client import bridge, call
from tests.bridge.remotes import ReceivedRequest, event, scripted
from tests.waiting import GUARD, wait_until

WAYS = ["end of input", "SIGINT", "SIGTERM"]


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("how", WAYS)
def test_the_bridge_ends_even_with_a_call_in_flight(how: str, busy: bool) -> None:
    if how != "end of input" and sys.platform == "win32":
        pytest.skip("signals of this kind are POSIX")
    ended = threading.Event()

    def hang(request: ReceivedRequest) -> None:
        if request.http_method == "POST" and request.message["method"] == "tools/call":
            send = request.start_stream()
            send(event({"jsonrpc": "2.0", "method": "notifications/message"}))
            ended.wait(2 * GUARD)
        else:
            request.respond_with_result() if request.http_method == "POST" else request.respond(405)

    with scripted(hang) as remote, bridge(remote.url) as client:
        client.initialize()
        if busy:
            client.send(call(1, {}))
            client.receive()
        if how == "end of input":
            client.stdin.close()
        else:
            client.process.send_signal(getattr(signal, how))
        status = client.process.wait(GUARD)
        ended.set()
        assert status == (130 if how == "SIGINT" else 0)
        assert client.errors() == ""


def test_a_bridge_that_waits_for_its_remote_ends_too() -> None:
    with bridge("http://127.0.0.1:9/mcp", startup_wait=3600) as client:
        client.send({"id": 1, "method": "initialize"})
        wait_until(lambda: client.reports_waiting)
        client.stdin.close()
        assert client.process.wait(GUARD) == 0


def test_a_client_that_closes_its_end_of_stdout_ends_the_bridge() -> None:
    with scripted() as remote, bridge(remote.url, reading=False) as client:
        client.send({"id": 1, "method": "ping"})
        client.stdout.readline()
        client.stdout.close()
        assert client.process.wait(GUARD) == 0


def test_a_session_is_closed_at_the_end() -> None:
    def script(request: ReceivedRequest) -> None:
        request.respond(405) if request.http_method == "GET" else request.respond(
            200
        ) if request.http_method == "DELETE" else request.respond_with_result(Mcp_Session_Id="s")

    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        client.request({"id": 1, "method": "ping"})
        client.stdin.close()
        client.process.wait(GUARD)
    [closed] = [request for request in remote.received if request.http_method == "DELETE"]
    assert closed.headers["mcp-session-id"] == "s"


def test_the_bridge_loads_neither_the_sdk_nor_anything_as_heavy() -> None:
    program = "import cyberun_mcp.cli, cyberun_mcp.bridge.process, json, sys; print(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    heavy = {"mcp", "mcp_types", "pydantic", "httpx2", "httpcore2", "anyio", "starlette", "uvicorn", "truststore"}
    assert not set(json.loads(finished.stdout)) & heavy
