"""A process whose client was killed ends, though another process still holds the pipe between the two."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.request import urlopen

import anyio
import pytest

from cyberun_mcp import process
from cyberun_mcp.process import SILENCE, parent_gone
from tests.bridge.client import clean_environment
from tests.bridge.remotes import scripted
from tests.properties.virtual_clock import run_at_once

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there a process keeps the number of its parent")
GUARD = 60  # seconds before a test says that a process is left over; nothing here is measured

# A client that starts our command on its own stdin and stdout, and is killed while both stay open.
CLIENT = """
import subprocess, sys
process = subprocess.Popen(sys.argv[1:])
print("started", file=sys.stderr, flush=True)
process.wait()
"""


def ended_at(
    monkeypatch: pytest.MonkeyPatch, gone_at: float, last_byte_at: Callable[[float], float], until: float = 1_000
) -> float | None:
    """When a process ends whose parent goes at a time, given the last time something was heard at any time."""

    async def program() -> float | None:
        clock = asyncio.get_running_loop().time
        monkeypatch.setattr(os, "getppid", lambda: process.PARENT_AT_START if clock() < gone_at else 1)
        with anyio.move_on_after(until):
            await parent_gone(lambda: last_byte_at(clock()))
            return clock()
        return None

    return run_at_once(program)


def test_without_a_parent_silence_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = ended_at(monkeypatch, gone_at=100, last_byte_at=lambda _: 0)
    assert ended is not None
    assert 100 + SILENCE <= ended <= 100 + SILENCE + 2


def test_as_long_as_the_parent_is_there_silence_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended_at(monkeypatch, gone_at=float("inf"), last_byte_at=lambda _: 0) is None


def test_a_client_that_goes_on_writing_after_its_launcher_has_exited_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    def last_byte_at(now: float) -> float:
        return min(now - now % 4, 500)  # every four seconds, until it stops

    ended = ended_at(monkeypatch, gone_at=1, last_byte_at=last_byte_at)
    assert ended is not None
    assert 500 + SILENCE <= ended <= 500 + SILENCE + 2


@contextmanager
def client_killed(*command: str) -> Iterator[int]:
    """Our command after its client was killed; the other ends of its pipes are ours, and this is its stdout."""
    (stdin, writing), (reading, stdout) = os.pipe(), os.pipe()
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, sys.executable, "-m", "cyberun_mcp", *command],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=clean_environment(),
        start_new_session=True,
    )
    with client:
        os.close(stdin)
        os.close(stdout)
        try:
            assert client.stderr is not None
            assert client.stderr.readline() == b"started\n"
            os.write(writing, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
            if command[:1] != ("http",):
                os.read(reading, 1)
            client.kill()
            client.wait()
            yield reading
        finally:
            os.close(writing)
            os.close(reading)
            with suppress(ProcessLookupError):  # it has ended
                os.killpg(client.pid, signal.SIGKILL)


def test_server_emulator_and_bridge_end_with_a_client_that_was_killed() -> None:
    with scripted() as remote, ExitStack() as started:
        outputs = [
            started.enter_context(client_killed(*command)) for command in ([], ["--emulator"], ["bridge", remote.url])
        ]
        threads = [threading.Thread(target=read_to_the_end, args=(output,), daemon=True) for output in outputs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GUARD)
        assert not any(thread.is_alive() for thread in threads)


def test_an_endpoint_outlives_whoever_started_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with client_killed("http", "--port", str(port)):
        answered = 0
        for _ in range(100):
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/livez", timeout=GUARD):
                answered += 1
            if answered == 16:
                break
            time.sleep(0.5)
        assert answered == 16


def read_to_the_end(descriptor: int) -> None:
    while os.read(descriptor, 4096):
        pass
