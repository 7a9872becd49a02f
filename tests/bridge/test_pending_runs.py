"""A paid run in flight when the bridge ends: it gets time to be answered, and else is reported as unknown."""

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

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
GUARD = 60  # seconds before a test says that something hangs; nothing here is measured
RUN = ("run_workflow_by_slug", {"workflow_slug": "fox", "body": {}})
UNKNOWN = "The run was sent, but whether it was accepted is unknown."


@contextmanager
def remote_with_held_calls() -> Iterator[tuple[ScriptedRemote, threading.Event]]:
    """A remote that answers calls once the event is set."""
    release = threading.Event()

    def script(request: ReceivedRequest) -> None:
        if request.http_method == "POST" and request.message["method"] == "tools/call":
            release.wait(GUARD)
        request.respond_with_result() if request.http_method == "POST" else request.respond(405)

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


def end(client: BridgeProcess, how: str) -> None:
    if how == "end of input":
        client.stdin.close()
    else:
        client.process.send_signal(getattr(signal, how))


@pytest.mark.parametrize("era", ["legacy", "2026"])
@pytest.mark.parametrize(("how", "status"), [("end of input", 0), ("SIGTERM", 0), ("SIGINT", 130)])
def test_a_run_in_flight_is_answered_and_any_other_call_given_up(how: str, status: int, era: str) -> None:
    tool, arguments = RUN
    with remote_with_held_calls() as (remote, release), bridge(remote.url) as client:
        if era == "legacy":
            client.initialize()
        client.send(call(1, arguments, era, name=tool), call(2, {"task_id": "t"}, era, name="get_task"))
        until(lambda: remote.methods().count("tools/call") == 2)
        end(client, how)
        until(lambda: any(b"workflow=fox: the run was sent, and the bridge waits" in line for line in client._errors))
        release.set()
        assert client.response_to(1, GUARD)["result"]
        assert client.process.wait(GUARD) == status


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
def test_a_run_that_stays_unanswered_is_reported_as_unknown(how: str) -> None:
    tool, arguments = RUN
    with remote_with_held_calls() as (remote, _), bridge(remote.url) as client:
        client.send(call(1, arguments, "2026", name=tool))
        until(lambda: "tools/call" in remote.methods())
        end(client, how)
        said = client.response_to(1, GUARD)["error"]["message"]
        assert client.process.wait(GUARD) == 0
    assert "the run of workflow fox" in said
    assert UNKNOWN in said
    assert f"workflow=fox: {UNKNOWN}" in client.errors()


def test_when_the_client_is_dead_the_log_has_the_run() -> None:
    tool, arguments = RUN
    with remote_with_held_calls() as (remote, _), bridge(remote.url, reading=False) as client:
        client.send(call(1, arguments, "2026", name=tool))
        until(lambda: "tools/call" in remote.methods())
        client.stdout.close()
        assert client.process.wait(GUARD) == 0
    assert f"workflow=fox: {UNKNOWN}" in client.errors()


def test_a_run_that_a_shell_pipes_in_is_answered() -> None:
    tool, arguments = RUN
    introduction = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    messages: list[dict[str, Any]] = [
        {"id": 0, "method": "initialize", "params": introduction},
        {"method": "notifications/initialized"},
        call(1, arguments, name=tool),
    ]
    with scripted() as remote:
        finished = subprocess.run(
            [sys.executable, "-m", "cyberun_mcp", "bridge", remote.url],
            input="".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in messages),
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=GUARD,
            check=True,
        )
    assert [json.loads(line)["id"] for line in finished.stdout.splitlines()] == [0, 1]
