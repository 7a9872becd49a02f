"""Malformed lines get an error, and a client that does not read does not fill the memory."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.client import BridgeProcess, Message, bridge, call, clean_environment
from tests.bridge.remotes import ReceivedRequest, ScriptedRemote, event, scripted

MEGABYTE = 1024 * 1024
NOWHERE = "http://127.0.0.1:9/mcp"


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"{", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"', -32700, None),
        (b"\xff\xfe{}", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"7", -32600, None),
        (b'"text"', -32600, None),
        (b"{}", -32600, None),
        (b"[]", -32600, "nothing"),
        (b'{"id":5,"method":"ping"}', -32600, 5),
        (b'{"jsonrpc":"1.0","id":"a","method":"ping"}', -32600, "a"),
        (b'{"jsonrpc":"2.0","id":6,"method":7}', -32600, 6),
        (b'{"jsonrpc":"2.0","id":6}', -32600, 6),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, None),
        (b'[{"jsonrpc":"2.0","id":8,"method":"ping"},{"jsonrpc":"2.0","method":"x"}]', -32600, 8),
    ],
)
def test_a_malformed_line_is_answered_with_its_own_id(
    shared_bridge: BridgeProcess, line: bytes, code: int, request_id: int | str | None
) -> None:
    shared_bridge.write(line + b"\n" + b"\n \r\n" + b'{"jsonrpc":"2.0","id":"after","method":"ping"}\n')
    if request_id != "nothing":
        response = shared_bridge.receive()
        assert (response["id"], response["error"]["code"]) == (request_id, code)
    assert shared_bridge.receive()["id"] == "after"


@pytest.fixture(scope="module")
def shared_bridge() -> Iterator[BridgeProcess]:
    with scripted() as remote, bridge(remote.url) as client:
        yield client


def in_flight(line: bytes, request_id: object = 1) -> tuple[list[Message], ScriptedRemote]:
    """All messages to a client that writes `line` and then another call while its first call is in flight."""
    release = threading.Event()

    def script(request: ReceivedRequest) -> None:
        if request.message.get("id") == request_id:
            assert release.wait(30)
        request.send_result()

    with scripted(script) as remote, bridge(remote.url) as client:
        client.send(call(request_id, {}))
        client.write(line + b"\n")
        client.send({"id": "after", "method": "ping"})
        messages = [client.receive(20)]
        while messages[-1]["id"] != "after":
            messages.append(client.receive(20))
        release.set()
        messages.append(client.receive(20))
        client.send({"id": "last", "method": "ping"})
        messages.append(client.receive(20))
    return messages, remote


@pytest.mark.parametrize("request_id", [1, "one", 1.5])
@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"do"}}',
        b'{"jsonrpc":"2.0","id":%s,"method":"tools/list"}',
        b'{"jsonrpc":"1.0","id":%s,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":%s,"method":7}',
        b'[{"jsonrpc":"2.0","id":%s,"method":"ping"}]',
    ],
)
def test_only_the_response_to_a_call_has_its_id_while_it_is_in_flight(line: bytes, request_id: object) -> None:
    messages, remote = in_flight(line % json.dumps(request_id).encode(), request_id)
    assert [message["id"] for message in messages] == [None, "after", request_id, "last"]
    assert messages[0]["error"]["code"] == -32600
    assert messages[2]["result"]
    assert sorted(str(request.message["id"]) for request in remote.received) == sorted(
        (str(request_id), "after", "last")
    )


def test_the_error_for_a_duplicate_id_quotes_the_id_in_its_text() -> None:
    messages, _ = in_flight(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
    assert "the id 1 is in use by a call in flight; this tools/list was not sent" in messages[0]["error"]["message"]


def test_ids_of_different_json_types_are_different_calls() -> None:
    def script(request: ReceivedRequest) -> None:
        all_here.wait(30)
        request.send_result()

    all_here = threading.Barrier(3)
    with scripted(script) as remote, bridge(remote.url) as client:
        client.send(call(1, {}), call(1.0, {}), call("1", {}))
        responses = [client.receive(20) for _ in range(3)]
    assert sorted(repr(response["id"]) for response in responses) == ["'1'", "1", "1.0"]
    assert all("result" in response for response in responses)


@pytest.mark.parametrize(("request_id", "wrong"), [(1, True), (0, False), (1, "1"), ("1", 1)])
def test_a_response_with_an_id_of_another_json_type_is_not_the_response(request_id: Any, wrong: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": wrong, "result": {}}).encode()
    with scripted(lambda request: request.respond(200, body)) as remote, bridge(remote.url) as client:
        client.send(call(request_id, {}))
        response = client.receive(20)
    assert repr(response["id"]) == repr(request_id)
    assert "the answer to another request" in response["error"]["message"]


def test_a_line_of_sixteen_megabytes_is_accepted_and_a_longer_one_is_rejected() -> None:
    frame = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":"%s"}}'
    largest = frame % (b"x" * (16 * MEGABYTE - len(frame) + 2))
    with scripted() as remote, bridge(remote.url) as client:
        client.write(largest + b"\n")
        assert client.receive()["result"]
        client.write(largest + b"x" * 20 * MEGABYTE + b"\n")
        response = client.receive()
        assert response["error"]["code"] == -32600
        assert "16,777,216" in response["error"]["message"]
        assert client.request({"id": 2, "method": "ping"})["result"]
    assert remote.received[0].body == largest


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which only Linux has")
def test_a_client_that_stops_reading_slows_the_remote_down_instead_of_filling_the_memory() -> None:
    sent = 0
    piece = event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 100_000}})

    def flood(request: ReceivedRequest) -> None:
        nonlocal sent
        send = request.start_stream()
        for _ in range(2000):
            send(piece)
            sent += len(piece)
        send(event({"jsonrpc": "2.0", "id": request.message["id"], "result": {}}))

    with scripted(flood) as remote, bridge(remote.url, reading=False) as client:
        client.send(call(1, {}))
        before, unchanged = -1, 0
        while unchanged < 5:
            time.sleep(0.1)
            unchanged = unchanged + 1 if sent == before else 0
            before = sent
        assert sent < 20 * MEGABYTE  # the kernel's buffers, and some more
        assert resident(client.process.pid) < 64 * MEGABYTE
        received = sum(1 for _ in zip(range(2001), client.stdout, strict=False))
        assert received == 2001
        assert resident(client.process.pid) < 64 * MEGABYTE


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc, which only Linux has")
def test_a_client_that_only_writes_is_slowed_down_too() -> None:
    with bridge(NOWHERE, reading=False) as client:
        os.set_blocking(client.stdin.fileno(), False)
        line = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"x":"' + b"x" * 10_000 + b'"}}\n'
        written, stuck = 0, 0
        while stuck < 100 and written < 200 * MEGABYTE:
            try:
                written += os.write(client.stdin.fileno(), line % written)
                stuck = 0
            except BlockingIOError:
                time.sleep(0.005)
                stuck += 1
        assert written < 100 * MEGABYTE
        assert resident(client.process.pid) < 150 * MEGABYTE


def test_input_and_output_may_be_files(tmp_path: Path) -> None:
    request, answered = tmp_path / "in", tmp_path / "out"
    request.write_bytes(b"{\n" + b'{"id":3,"method":"ping"}')  # the last line has no newline
    with request.open("rb") as stdin, answered.open("wb") as stdout:
        command = [sys.executable, "-m", "cyberun_mcp", "bridge", NOWHERE]
        finished = subprocess.run(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=clean_environment(), timeout=60, check=True
        )
    assert [b"-32700" in line for line in answered.read_bytes().splitlines()] == [True, False]
    assert finished.stderr == b""


def resident(pid: int) -> int:
    """The resident memory of the process in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
