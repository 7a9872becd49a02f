"""Nothing waits for stderr, be it that nobody reads it, that it is closed, or that its disk is full."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.bridge.client import clean_environment
from tests.bridge.remotes import scripted
from tests.stdio.process import COMMAND, Pipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX descriptors and signals")

GUARD = 60  # seconds before a test says that a process hangs; nothing here is measured
KINDS = ["unread", "reader gone", "closed", *(["full"] if Path("/dev/full").exists() else [])]
REFUSED_CALL = {"method": "tools/call", "params": {"name": "get_task", "arguments": {}}}
CLOSING_STDERR = "import os, sys; os.close(2); os.execv(sys.argv[1], sys.argv[1:])"


def fill(pipe: int) -> None:
    """Write until there is no room, so that the next byte waits."""
    os.set_blocking(pipe, False)
    for piece in (b"x" * 4096, b"x"):
        try:
            while True:
                os.write(pipe, piece)
        except BlockingIOError:
            pass
    os.set_blocking(pipe, True)


@contextmanager
def stderr_that_is(kind: str) -> Iterator[int]:
    """The descriptor of a stderr that takes nothing."""
    reading, writing = os.pipe()
    if kind == "unread":
        fill(writing)
    elif kind == "reader gone":
        os.close(reading)
        reading = os.open(os.devnull, os.O_RDONLY)
    elif kind == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), writing)
    try:
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def started(kind: str, *arguments: str, **pipes: int) -> Iterator["subprocess.Popen[str]"]:
    """A command of ours with such a stderr; killed at the end, unless it has ended by itself."""
    command = [*COMMAND, *arguments]
    if kind == "closed":
        command = [sys.executable, "-c", CLOSING_STDERR, *command]
    with (
        stderr_that_is(kind) as stderr,
        subprocess.Popen(
            command,
            stderr=stderr,
            text=True,
            env=clean_environment() | {"CYBERUN_BASE_URL": "http://127.0.0.1:9"},
            start_new_session=True,  # workers die with it
            **pipes,  # type: ignore[call-overload]
        ) as process,
    ):
        hang = threading.Timer(GUARD, process.kill)
        hang.start()
        try:
            yield process
        finally:
            hang.cancel()
            process.kill()


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


def ended(process: "subprocess.Popen[str]", number: signal.Signals) -> int:
    process.send_signal(number)
    return process.wait(GUARD)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def answered(url: str, process: "subprocess.Popen[str]") -> bytes:
    """What a server that is just starting answers."""
    while process.poll() is None:
        try:
            with urlopen(url, timeout=GUARD) as answer:  # noqa: S310 - http, and ours
                return bytes(answer.read())
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"ended with status {process.returncode}")


@pytest.mark.parametrize("arguments", [[], ["--log-format", "json", "--log-level", "debug"], ["--emulator"]])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stdio_server_answers_and_ends(kind: str, arguments: list[str]) -> None:
    with started(kind, *arguments, **PIPES) as process:
        pipe = Pipe(process)
        pipe.initialize()
        for request in range(2, 5):
            pipe.send({"id": request, **REFUSED_CALL})
            assert pipe.answer_to(request)["result"]["isError"] is True
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("arguments", [[], ["bridge", "http://127.0.0.1:9/mcp"]])
def test_a_signal_from_the_keyboard_keeps_its_status(arguments: list[str]) -> None:
    with started("unread", *arguments, **PIPES) as process:
        pipe = Pipe(process)
        pipe.send({"id": 1, **REFUSED_CALL})
        pipe.answer_to(1)
        assert ended(process, signal.SIGINT) == 130


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_pipe_for_stdout_and_stderr_that_nobody_reads_does_not_hold_up_a_signal() -> None:
    with (
        stderr_that_is("unread") as both,
        subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=both, stderr=both, env=clean_environment()) as process,
    ):
        hang = threading.Timer(GUARD, process.kill)
        hang.start()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode() + b"\n")
        process.stdin.flush()
        while not handles(process.pid, signal.SIGTERM):
            time.sleep(0.05)
        assert process.poll() is None
        process.terminate()
        assert process.wait(GUARD) == 0
        hang.cancel()


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal by now."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    [caught] = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
    return bool(caught & 1 << number - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stdio_server_on_regular_files_answers_and_ends(kind: str, tmp_path: Path) -> None:
    call = {"jsonrpc": "2.0", "id": 2, **REFUSED_CALL}
    (tmp_path / "in").write_text(json.dumps(call) + "\n", encoding="utf-8")
    with (
        (tmp_path / "in").open("rb") as stdin,
        (tmp_path / "out").open("wb") as stdout,
        started(kind, stdin=stdin.fileno(), stdout=stdout.fileno()) as process,
    ):
        assert process.wait(GUARD) == 0


@pytest.mark.parametrize(("kind", "workers"), [("unread", "1"), *((kind, "2") for kind in KINDS)])
def test_an_endpoint_answers_and_ends(kind: str, workers: str) -> None:
    port = free_port()
    with started(kind, "http", "--port", str(port), "--workers", workers) as process:
        assert answered(f"http://127.0.0.1:{port}/livez", process) == b"alive\n"
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_emulator_answers_and_ends(kind: str) -> None:
    with started(kind, "emulator", "--port", "0", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().partition("=")[2]
        with pytest.raises(OSError, match="401"):
            urlopen(f"{url}/r/workflows", timeout=GUARD)  # noqa: S310 - http, and ours
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_bridge_answers_and_ends(kind: str) -> None:
    with scripted() as remote, started(kind, "bridge", remote.url, **PIPES) as process:
        pipe = Pipe(process)
        pipe.send({"id": 1, "method": "ping"})
        pipe.answer_to(1)
        assert ended(process, signal.SIGTERM) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_bridge_whose_remote_is_down_says_so_to_its_client(kind: str) -> None:
    with started(kind, "bridge", "http://127.0.0.1:9/mcp", **PIPES) as process:
        pipe = Pipe(process)
        for request in range(1, 4):
            pipe.send({"id": request, "method": "ping"})
            assert "127.0.0.1:9" in pipe.answer_to(request)["error"]["message"]
        process.stdin.close()  # type: ignore[union-attr]
        assert process.wait(GUARD) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_that_is_misused_ends_with_its_status(kind: str) -> None:
    with started(kind, "--no-such-flag") as process:
        assert process.wait(GUARD) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_endpoint_that_cannot_start_ends_with_its_status(kind: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        started(kind, "http", "--port", str(taken.getsockname()[1])) as process,
    ):
        assert process.wait(GUARD) == 1
