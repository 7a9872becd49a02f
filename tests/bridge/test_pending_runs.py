"""A paid run that is in flight when the bridge ends gets some time. If it stays unanswered, its outcome is unknown."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.bridge.client import BridgeProcess, bridge, call, clean_environment
from tests.bridge.remotes import ReceivedRequest, ScriptedRemote, scripted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these signals are POSIX")
GUARD = 60  # seconds until a test fails because something hangs; no test measures time
RUN = ("run_workflow_by_slug", {"workflow_slug": "fox", "body": {}})
UNKNOWN = "The run was sent, but whether it was accepted is unknown."


@contextmanager
def remote_with_held_calls() -> Iterator[tuple[ScriptedRemote, threading.Event]]:
    """A remote that answers calls only after the event is set."""
    release = threading.Event()

    def script(request: ReceivedRequest) -> None:
        if request.http_method == "POST" and request.message["method"] == "tools/call":
            release.wait(GUARD)
        request.send_result() if request.http_method == "POST" else request.respond(405)

    with scripted(script) as remote:
        try:
            yield remote, release
        finally:
            release.set()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end(client: BridgeProcess, reason: str) -> None:
    if reason == "end of input":
        client.stdin.close()
    else:
        client.process.send_signal(getattr(signal, reason))


@pytest.mark.parametrize("era", ["legacy", "2026"])
@pytest.mark.parametrize(("reason", "status"), [("end of input", 0), ("SIGTERM", 0), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_run_in_flight_is_answered_and_any_other_call_is_dropped(reason: str, status: int, era: str) -> None:
    tool, arguments = RUN
    with remote_with_held_calls() as (remote, release), bridge(remote.url) as client:
        if era == "legacy":
            client.initialize()
        client.send(call(1, arguments, era, name=tool), call(2, {"task_id": "t"}, era, name="get_task"))
        until(lambda: remote.methods().count("tools/call") == 2)
        end(client, reason)
        until(lambda: any(b"workflow=fox: the bridge waits for the answer" in line for line in client._errors))
        release.set()
        assert client.response_to(1, GUARD)["result"]
        assert client.process.wait(GUARD) == status


@pytest.mark.parametrize("reason", ["end of input", "SIGTERM"])
def test_a_run_that_stays_unanswered_is_reported_as_unknown(reason: str) -> None:
    tool, arguments = RUN
    with remote_with_held_calls() as (remote, _), bridge(remote.url) as client:
        client.send(call(1, arguments, "2026", name=tool))
        until(lambda: "tools/call" in remote.methods())
        end(client, reason)
        error = client.response_to(1, GUARD)["error"]["message"]
        assert client.process.wait(GUARD) == 0
    assert "the run of workflow fox" in error
    assert UNKNOWN in error
    assert f"workflow=fox: {UNKNOWN}" in client.errors()


def test_the_log_has_the_run_if_the_client_is_gone() -> None:
    tool, arguments = RUN
    with remote_with_held_calls() as (remote, _), bridge(remote.url, reading=False) as client:
        client.send(call(1, arguments, "2026", name=tool))
        until(lambda: "tools/call" in remote.methods())
        client.stdout.close()
        assert client.process.wait(GUARD) == 0
    assert f"workflow=fox: {UNKNOWN}" in client.errors()


def test_a_run_that_is_piped_in_by_a_shell_is_answered() -> None:
    tool, arguments = RUN
    initialize_params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    messages: list[dict[str, Any]] = [
        {"id": 0, "method": "initialize", "params": initialize_params},
        {"method": "notifications/initialized"},
        call(1, arguments, name=tool),
    ]
    with scripted() as remote:
        finished = subprocess.run(
            [sys.executable, "-m", "cyberun_mcp", "bridge", remote.url],
            input="".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages),
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=GUARD,
            check=True,
        )
    assert [json.loads(line)["id"] for line in finished.stdout.splitlines()] == [0, 1]


def test_a_run_that_comes_after_the_signal_is_not_sent() -> None:
    tool, arguments = RUN
    with remote_with_held_calls() as (remote, release), bridge(remote.url) as client:
        client.send(call(1, arguments, "2026", name=tool))
        until(lambda: "tools/call" in remote.methods())
        end(client, "SIGTERM")
        until(lambda: any(b"the bridge waits for the answer" in line for line in client._errors))
        client.send(call(2, arguments, "2026", name=tool))
        release.set()
        assert client.response_to(1, GUARD)["result"]
        assert client.process.wait(GUARD) == 0
        assert remote.methods().count("tools/call") == 1


def test_a_run_that_waits_for_the_handshake_at_a_signal_is_reported_as_not_sent() -> None:
    tool, arguments = RUN
    release = threading.Event()

    def script(request: ReceivedRequest) -> None:
        release.wait(GUARD)
        request.respond(503)

    with scripted(script) as remote, bridge(remote.url) as client:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        client.send({"id": 0, "method": "initialize", "params": params}, call(1, arguments, name=tool))
        until(lambda: "initialize" in remote.methods())
        end(client, "SIGTERM")
        error = client.response_to(1, GUARD)["error"]["message"]
        assert client.process.wait(GUARD) == 0
        release.set()
    assert error == "The bridge had to end before the run of workflow fox was sent. Nothing was sent."
    assert remote.methods() == ["initialize"]
