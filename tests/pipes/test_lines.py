"""The reader and the writer that the server and the bridge share, in the event loop and through threads."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import anyio
import pytest

from cyberun_mcp.pipes.claim import StdioPipes
from cyberun_mcp.pipes.reader import CHUNK, LineReader, open_reader
from cyberun_mcp.pipes.writer import CROWD, LineWriter, open_writer
from tests.waiting import GUARD

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes are read by threads alone there")
NOWHERE = -1


@pytest.fixture(params=["event loop", "threads"])
def in_threads(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "threads")


@contextmanager
def reading(in_threads: bool, *, buffered: bytes = b"", longest: int = 10) -> Iterator[tuple[LineReader, int]]:
    """A reader of a pipe, and the end of the pipe that a client writes to."""
    ours, client = os.pipe()
    pipes = StdioPipes(ours, NOWHERE, in_threads=in_threads)
    pipes.buffered = buffered
    try:
        with open_reader(pipes, longest=longest) as reader:
            yield reader, client
            assert os.get_blocking(ours) is in_threads
        assert os.get_blocking(ours)
    finally:
        os.close(client)
        os.close(ours)


async def test_lines_begin_with_what_was_read_before_and_the_last_one_needs_no_newline(in_threads: bool) -> None:
    with reading(in_threads, buffered=b"one\ntw") as (reader, client):
        os.write(client, b"o\n\nlast")
        os.dup2(os.open(os.devnull, os.O_WRONLY), client)
        assert [await reader.read() for _ in range(6)] == [b"one", b"two", b"", b"last", None, None]
        assert reader.ended.is_set()


async def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_whole(in_threads: bool) -> None:
    with reading(in_threads) as (reader, client):
        for piece in (b"x" * 7, b"x" * 7 + b"y" * 50, b"\n1234567890\n"):
            os.write(client, piece)
        assert await reader.read() == b"x" * 11
        assert await reader.read() == b"1234567890"


async def test_the_end_of_input_is_noticed_while_lines_wait(in_threads: bool) -> None:
    with reading(in_threads) as (reader, client):
        os.write(client, b"one\ntwo\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), client)
        with anyio.fail_after(GUARD):
            await reader.ended.wait()
        assert [await reader.read() for _ in range(3)] == [b"one", b"two", None]


async def test_a_reader_whose_lines_are_not_taken_stops_reading(in_threads: bool) -> None:
    with reading(in_threads, longest=CHUNK) as (reader, client):
        written = 0

        def fill() -> None:
            nonlocal written
            while written < 3 * CHUNK:
                written += os.write(client, b"x" * 1023 + b"\n")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, fill)
            for _ in range(3 * CHUNK // 1024):
                assert len(await reader.read() or b"") == 1023
                assert reader._size <= 2 * CHUNK


async def test_a_client_that_only_shuts_down_its_half_of_a_socket_is_written_to() -> None:
    ours, client = socket.socketpair()
    with ours, client, open_writer(StdioPipes(NOWHERE, ours.fileno()), notice_closing=True) as writer:
        client.shutdown(socket.SHUT_WR)  # as Bun does
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        await writer.write(b"hello\n")
        assert not writer.broken
        assert client.recv(100) == b"hello\n"


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_a_client_that_closes_its_end_is_noticed_before_the_next_write(kind: str) -> None:
    if kind == "pipe":
        client, ours = os.pipe()
    else:
        client, ours = (each.detach() for each in socket.socketpair())
    try:
        with open_writer(StdioPipes(NOWHERE, ours), notice_closing=True) as writer:
            broken = anyio.Event()
            writer.on_broken = broken.set
            os.close(client)
            with anyio.fail_after(GUARD):
                await broken.wait()
            await writer.write(b"dropped\n")
    finally:
        os.close(ours)


async def test_a_write_to_a_client_that_is_gone_breaks_the_writer(in_threads: bool) -> None:
    client, ours = os.pipe()
    os.close(client)
    with open_writer(StdioPipes(NOWHERE, ours, in_threads=in_threads)) as writer:
        await writer.write(b"lost\n")
        assert writer.broken
    os.close(ours)


class ImpatientEvent(asyncio.Event):
    """Fails, instead of letting the test hang, if it is waited for again and again while it is set."""

    waits = 0

    async def wait(self) -> Literal[True]:
        self.waits += 1
        assert self.waits < 10 * CROWD
        return await super().wait()


async def test_waiting_for_space_lets_the_waiting_callers_go_first() -> None:
    client, ours = os.pipe()
    with LineWriter(ours) as writer:
        writer._idle = ImpatientEvent()
        writer._idle.set()
        writer.write_now(b"x" * 2**20)
        callers = [asyncio.create_task(writer.wait_until_ready()) for _ in range(CROWD + 1)]
        await asyncio.sleep(0)
        while writer.blocked:
            os.read(client, 2**20)
            writer._on_writable()
        await writer.wait_for_space()  # the callers have not run since there is room again
        await asyncio.gather(*callers)
    os.close(client)
    os.close(ours)
