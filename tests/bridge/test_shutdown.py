"""The bridge exits when its client does, quietly and with the right status. Its imports are light."""

import json
import signal
import subprocess
import sys
import threading

import pytest

from tests.bridge.client import bridge, call
from tests.bridge.remotes import ReceivedRequest, event, scripted
from tests.waiting import GUARD, wait_until

REASONS = ["end of input", "SIGINT", "SIGTERM"]


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("reason", REASONS)
def test_the_bridge_exits_even_with_a_call_in_flight(reason: str, busy: bool) -> None:
    if reason != "end of input" and sys.platform == "win32":
        pytest.skip("these signals are POSIX")
    ended = threading.Event()

    def hang(request: ReceivedRequest) -> None:
        if request.http_method == "POST" and request.message["method"] == "tools/call":
            send = request.start_stream()
            send(event({"jsonrpc": "2.0", "method": "notifications/message"}))
            ended.wait(2 * GUARD)
        else:
            request.send_result() if request.http_method == "POST" else request.respond(405)

    with scripted(hang) as remote, bridge(remote.url) as client:
        client.initialize()
        if busy:
            client.send(call(1, {}))
            client.receive()
        if reason == "end of input":
            client.stdin.close()
        else:
            client.process.send_signal(getattr(signal, reason))
        status = client.process.wait(GUARD)
        ended.set()
        assert status == (130 if reason == "SIGINT" else 0)
        assert client.errors() == ""


def test_a_bridge_that_waits_for_its_remote_exits_too() -> None:
    with bridge("http://127.0.0.1:9/mcp", startup_wait=3600) as client:
        client.send({"id": 1, "method": "initialize"})
        wait_until(lambda: client.reports_waiting)
        client.stdin.close()
        assert client.process.wait(GUARD) == 0


def test_the_bridge_exits_when_its_client_closes_stdout() -> None:
    with scripted() as remote, bridge(remote.url, reading=False) as client:
        client.send({"id": 1, "method": "ping"})
        client.stdout.readline()
        client.stdout.close()
        assert client.process.wait(GUARD) == 0


def test_the_session_is_deleted_at_the_end() -> None:
    def script(request: ReceivedRequest) -> None:
        if request.http_method == "POST":
            request.send_result(Mcp_Session_Id="s")
        else:
            request.respond(405 if request.http_method == "GET" else 200)

    with scripted(script) as remote, bridge(remote.url) as client:
        client.initialize()
        client.request({"id": 1, "method": "ping"})
        client.stdin.close()
        client.process.wait(GUARD)
    [delete] = [request for request in remote.received if request.http_method == "DELETE"]
    assert delete.headers["mcp-session-id"] == "s"


def test_the_bridge_imports_neither_the_sdk_nor_other_heavy_packages() -> None:
    program = "import cyberun_mcp.cli, cyberun_mcp.bridge.process, json, sys; print(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    heavy = {"mcp", "mcp_types", "pydantic", "httpx2", "httpcore2", "anyio", "starlette", "uvicorn", "truststore"}
    assert not set(json.loads(finished.stdout)) & heavy
