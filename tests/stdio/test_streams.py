"""Messages over pipes, in the event loop and through threads: any size, any descriptor, a client that does not read."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest

from cyberun_mcp.pipes.claim import StdioPipes
from cyberun_mcp.stdio.streams import PARTING, MessageReader, MessageWriter, open_streams
from tests.properties.virtual_clock import run_at_once
from tests.stdio.process import COMMAND, KEY, server, unread
from tests.waiting import GUARD, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="threads read and write there")
MIB = 2**20
A_LOT = 48 * 1024  # bytes in a pipe that nobody reads; it takes 64 kB, and with the next answer it is full
INITIALIZE = {
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
HANDSHAKE: list[dict[str, Any]] = [INITIALIZE, {"method": "notifications/initialized"}]
REFUSED_CALL = {"id": 2, "method": "tools/call", "params": {"name": "get_task", "arguments": {}}}


def lines(*messages: dict[str, Any]) -> bytes:
    return "".join(json.dumps({"jsonrpc": "2.0", **each}) + "\n" for each in messages).encode()


@contextmanager
def served_on(stdin: Any, stdout: Any, stderr: Any = subprocess.DEVNULL) -> Iterator["subprocess.Popen[bytes]"]:
    """A server on descriptors of any kind, ours closed once it has them."""
    process = subprocess.Popen(
        COMMAND, stdin=stdin, stdout=stdout, stderr=stderr, env={**os.environ, "CYBERUN_API_KEY": KEY}
    )
    for each in {stdin, stdout}:
        each.close()
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(params=["event loop", "threads"])
def in_threads(request: pytest.FixtureRequest) -> bool:
    """The two ways to read and write: pipes of POSIX, and everything else."""
    return bool(request.param == "threads")


@contextmanager
def pipes(in_threads: bool = False) -> Iterator[tuple[int, MessageReader, MessageWriter, int]]:
    """Our two streams, with the descriptors a client would have: to write to, and to read from."""
    (reading, to_us), (from_us, writing) = os.pipe(), os.pipe()
    try:
        with open_streams(StdioPipes(reading, writing, in_threads=in_threads)) as (incoming, outgoing):
            yield to_us, incoming, outgoing, from_us
    finally:
        for each in (reading, to_us, from_us, writing):
            os.close(each)


def notification(text: str) -> SessionMessage:
    return SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="x", params={"text": text}))


async def test_a_line_of_sixteen_megabytes_comes_through_in_both_directions(in_threads: bool) -> None:
    with pipes(in_threads) as (to_us, incoming, outgoing, from_us):
        message = notification("x" * 16 * MIB)

        def client() -> bytes:
            """Reads all, and sends it back."""
            with os.fdopen(from_us, "rb", closefd=False) as reader:
                line = reader.readline()
            with os.fdopen(to_us, "wb", closefd=False) as writer:
                writer.write(line)
            return line

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outgoing.send, message)
            tasks.start_soon(anyio.to_thread.run_sync, client)
            received = await incoming.receive()
        assert isinstance(received, SessionMessage)
        assert received.message == message.message


async def test_a_call_of_sixteen_megabytes_is_answered() -> None:
    with server() as pipe:
        pipe.initialize()
        call = {"name": "get_task", "arguments": {"task_id": "x" * 16 * MIB}}
        pipe.send({"id": 2, "method": "tools/call", "params": call})
        assert pipe.answer_to(2)["result"]["isError"] is True


async def test_messages_wait_for_a_client_that_does_not_read_and_keep_their_order(in_threads: bool) -> None:
    with pipes(in_threads) as (_, _, outgoing, from_us):
        sent: list[int] = []

        async def send_all() -> None:
            for number in range(50):
                await outgoing.send(notification(f"{number} " + "x" * 10_000))
                sent.append(number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all)
            await anyio.wait_all_tasks_blocked()
            assert len(sent) < 10  # what a pipe takes, and no more
            with os.fdopen(from_us, "rb", closefd=False) as reader:
                read = [json.loads(await anyio.to_thread.run_sync(reader.readline)) for _ in range(50)]
        assert [int(each["params"]["text"].split()[0]) for each in read] == list(range(50))


async def test_reading_stops_while_a_crowd_waits_to_be_answered() -> None:
    with pipes() as (to_us, incoming, outgoing, _):
        os.set_blocking(to_us, False)

        async def answer_all() -> None:
            async with anyio.create_task_group() as answers:
                async for _ in incoming:
                    answers.start_soon(outgoing.send, notification("x" * 100_000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer_all)
            written, full = 0, 0
            while full < 100:  # turns of the event loop in a row in which nothing was read
                try:
                    written += os.write(to_us, lines({"id": 1, "method": "x"}) * 100)
                    full = 0
                except BlockingIOError:
                    await anyio.lowlevel.checkpoint()
                    full += 1
                assert written < 2 * MIB  # the pipe, one chunk of lines, and the crowd's
            tasks.cancel_scope.cancel()


async def test_a_signal_between_two_lines_ends_the_reading_too(in_threads: bool) -> None:
    with pipes(in_threads) as (to_us, incoming, *_):
        os.write(to_us, lines({"id": 1, "method": "one"}, {"id": 2, "method": "two"}))
        received = await incoming.receive()
        assert isinstance(received, SessionMessage)
        assert isinstance(received.message, JSONRPCRequest)
        incoming.stop()
        with anyio.fail_after(GUARD), pytest.raises(anyio.EndOfStream):
            await incoming.receive()


def test_after_a_signal_a_client_that_does_not_read_is_not_waited_for(in_threads: bool) -> None:
    async def play() -> float:
        with pipes(in_threads) as (_, incoming, outgoing, _):
            await outgoing.send(notification("x" * MIB))
            incoming.stop()
            await outgoing.aclose()
            return anyio.current_time()

    assert run_at_once(play) == PARTING


async def test_a_line_that_is_no_message_is_passed_on_as_an_error_and_the_last_line_needs_no_end(
    in_threads: bool,
) -> None:
    with pipes(in_threads) as (to_us, incoming, *_):
        with os.fdopen(os.dup(to_us), "wb") as client:
            client.write(b'{"half"\n\n{"jsonrpc":"2.0","method":"\xff"}')
        os.close(to_us)
        received = [await incoming.receive() for _ in range(2)]
        assert all(isinstance(each, ValueError) for each in received)
        last = await incoming.receive()
        assert isinstance(last, SessionMessage)
        with pytest.raises(anyio.EndOfStream):
            await incoming.receive()
        os.dup2(os.open(os.devnull, os.O_RDONLY), to_us)  # for `pipes` to close


def test_a_client_that_reads_no_more_ends_the_server() -> None:
    with server() as pipe:
        pipe.initialize()
        pipe.send({"id": 2, "method": "ping"})
        pipe.receive()
        pipe.stdout.close()
        pipe.send({**REFUSED_CALL, "id": 3})
        assert pipe.process.wait(timeout=GUARD) == 0


def test_signals_end_a_server_whose_client_does_not_read() -> None:
    with server() as pipe:
        pipe.initialize()
        pipe.send(*({"id": number, "method": "tools/list", "params": {"x": 1}} for number in range(2, 20)))
        wait_until(lambda: unread(pipe.stdout) > A_LOT)
        pipe.process.terminate()
        assert pipe.process.wait(timeout=GUARD) == 0


def test_sockets_serve_as_well_even_when_the_client_has_closed_its_half_of_stdout() -> None:
    stdin, to_server = socket.socketpair()
    stdout, from_server = socket.socketpair()
    from_server.shutdown(socket.SHUT_WR)  # as Bun does
    with served_on(stdin, stdout), to_server, from_server, from_server.makefile("rb") as reader:
        to_server.sendall(lines(*HANDSHAKE, REFUSED_CALL))
        assert [json.loads(reader.readline())["id"] for _ in range(2)] == [1, 2]
        to_server.shutdown(socket.SHUT_WR)
        assert reader.readline() == b""


def test_one_socket_for_both_directions_serves_too() -> None:
    ours, both = socket.socketpair()
    with served_on(both, both), ours, ours.makefile("rb") as reader:
        ours.sendall(lines(*HANDSHAKE, REFUSED_CALL))
        assert [json.loads(reader.readline())["id"] for _ in range(2)] == [1, 2]
        ours.shutdown(socket.SHUT_WR)
        assert reader.readline() == b""


def test_a_file_is_served_too(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(lines(*HANDSHAKE))
    with served_on((tmp_path / "in").open("rb"), (tmp_path / "out").open("wb")) as process:
        assert process.wait(timeout=GUARD) == 0
    assert json.loads((tmp_path / "out").read_bytes())["id"] == 1


def test_nothing_at_all_on_stdin_is_the_end() -> None:
    finished = subprocess.run(COMMAND, stdin=subprocess.DEVNULL, capture_output=True, timeout=GUARD, check=False)
    assert (finished.returncode, finished.stdout) == (0, b"")


def test_one_pipe_for_stdout_and_stderr_does_not_make_logging_fail() -> None:
    reading, writing = os.pipe()
    stdin, to_server = os.pipe()
    with (
        os.fdopen(reading, "rb") as reader,
        os.fdopen(to_server, "wb") as client,
        served_on(os.fdopen(stdin, "rb"), os.fdopen(writing, "wb"), subprocess.STDOUT),
    ):
        client.write(lines(*HANDSHAKE, *[{**REFUSED_CALL, "id": number} for number in range(2, 500)]))
        client.flush()
        wait_until(lambda: unread(reader) > A_LOT)
        answered: set[int] = set()
        while len(answered) < 499:
            line = reader.readline()
            assert b"Traceback" not in line
            answered |= {json.loads(line)["id"]} if line.startswith(b"{") else set()


PRINTING = """
import os, subprocess, sys, threading, time
from cyberun_mcp.stdio.fast_start import main

at_first = os.fstat(1).st_ino

def pollute():
    while os.fstat(1).st_ino == at_first:  # until stdout has been claimed; no earlier is anybody kept from it
        time.sleep(0.01)
    while True:
        print("stray", flush=True)
        os.write(1, b"stray\\n")
        subprocess.run(["echo", "stray"])
        time.sleep(0.005)

threading.Thread(target=pollute, daemon=True).start()
main()
"""


def test_nothing_but_the_server_can_write_to_the_client() -> None:
    environment = {**os.environ, "CYBERUN_API_KEY": KEY}
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(lines(*HANDSHAKE, REFUSED_CALL))
        process.stdin.flush()
        assert [json.loads(process.stdout.readline())["id"] for _ in range(2)] == [1, 2]
        strays = 0
        while strays < 20:  # of each kind some, and all of them on stderr
            strays += process.stderr.readline() == b"stray\n"
        process.stdin.close()
        assert process.stderr.read()
        assert process.stdout.read() == b""
