"""What a client writes, however badly, is answered; what it does not read does not fill the memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridge.client import Bridge, bridge, call, clean_environment
from tests.bridge.remotes import Asked, event, scripted

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
    lasting: Bridge, line: bytes, code: int, request_id: int | str | None
) -> None:
    lasting.write(line + b"\n" + b"\n \r\n" + b'{"jsonrpc":"2.0","id":"after","method":"ping"}\n')
    if request_id != "nothing":
        answer = lasting.receive()
        assert (answer["id"], answer["error"]["code"]) == (request_id, code)
    assert lasting.receive()["id"] == "after"


@pytest.fixture(scope="module")
def lasting() -> Iterator[Bridge]:
    with scripted() as remote, bridge(remote.url) as client:
        yield client


def test_an_id_in_use_is_refused_because_the_remote_could_not_tell_the_calls_apart() -> None:
    def slow(asked: Asked) -> None:
        time.sleep(0.3)
        asked.result()

    with scripted(slow) as remote, bridge(remote.url) as client:
        client.send(call(1, {}), call(1, {}))
        assert client.receive()["error"]["code"] == -32600
        assert client.receive()["result"]
    assert len(remote.asked) == 1


def test_a_line_of_sixteen_megabytes_passes_and_a_longer_one_is_refused() -> None:
    frame = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":"%s"}}'
    largest = frame % (b"x" * (16 * MEGABYTE - len(frame) + 2))
    with scripted() as remote, bridge(remote.url) as client:
        client.write(largest + b"\n")
        assert client.receive()["result"]
        client.write(largest + b"x" * 20 * MEGABYTE + b"\n")
        answer = client.receive()
        assert answer["error"]["code"] == -32600
        assert "16,777,216" in answer["error"]["message"]
        assert client.ask({"id": 2, "method": "ping"})["result"]
    assert remote.asked[0].body == largest


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read where Linux tells it")
def test_a_client_that_stops_reading_holds_the_remote_back_instead_of_filling_the_memory() -> None:
    sent = 0
    piece = event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 100_000}})

    def flood(asked: Asked) -> None:
        nonlocal sent
        send = asked.stream()
        for _ in range(2000):
            send(piece)
            sent += len(piece)
        send(event({"jsonrpc": "2.0", "id": asked.message["id"], "result": {}}))

    with scripted(flood) as remote, bridge(remote.url, reading=False) as client:
        client.send(call(1, {}))
        before, unchanged = -1, 0
        while unchanged < 5:
            time.sleep(0.1)
            unchanged = unchanged + 1 if sent == before else 0
            before = sent
        assert sent < 20 * MEGABYTE  # the kernel's buffers, and a little
        assert resident(client.process.pid) < 64 * MEGABYTE
        received = sum(1 for _ in zip(range(2001), client.stdout, strict=False))
        assert received == 2001
        assert resident(client.process.pid) < 64 * MEGABYTE


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read where Linux tells it")
def test_a_client_that_only_writes_is_held_back_too() -> None:
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


def test_input_from_a_file_and_output_to_a_file_work_as_well(tmp_path: Path) -> None:
    asked, answered = tmp_path / "in", tmp_path / "out"
    asked.write_bytes(b"{\n" + b'{"id":3,"method":"ping"}')  # the last line has no end
    with asked.open("rb") as stdin, answered.open("wb") as stdout:
        command = [sys.executable, "-m", "cyberun_mcp", "bridge", NOWHERE]
        finished = subprocess.run(
            command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, env=clean_environment(), timeout=60, check=True
        )
    assert [b"-32700" in line for line in answered.read_bytes().splitlines()] == [True, False]
    assert finished.stderr == b""


def resident(pid: int) -> int:
    """Bytes of memory the process has now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
