"""The stdio transport: one client on stdin and stdout, and three ways to end (EOF, SIGINT, SIGTERM)."""

import io
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage

from cyberun_mcp.transports.eras import serve_both_eras
from cyberun_mcp.transports.pipe import open_pipe
from cyberun_mcp.transports.wire import Wire, take_wire

Streams = tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage], Callable[[], None]]


async def serve_stdio(server: Server[Any], wire: Wire | None = None) -> int:
    """Serve the client on stdin and stdout until it leaves or a signal comes; the exit status to end with.

    stdout carries the protocol only: file descriptor 1 points at stderr meanwhile. After a signal a thread may still be
    waiting for stdin, so the caller ends the process without joining it.
    """
    status = 0

    async def end_on_signal(end: Callable[[], None]) -> None:
        nonlocal status
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                status = 130 if number == signal.SIGINT else 0
                end()

    wire = wire or take_wire()
    async with _streams(wire) as (read, write, end), anyio.create_task_group() as tasks:
        if sys.platform != "win32":  # asyncio has no signal receiver there; Ctrl-C arrives as KeyboardInterrupt
            tasks.start_soon(end_on_signal, end)
        await serve_both_eras(server, read, write, wire.greeting if wire else None)
        tasks.cancel_scope.cancel()
    return status


@asynccontextmanager
async def _streams(wire: Wire | None) -> AsyncIterator[Streams]:
    """Both directions of the wire, and what makes a signal look like the end of input; without a wire, the SDK's."""
    if wire is not None:
        with open_pipe(wire) as (incoming, outgoing):
            yield incoming, outgoing, incoming.end
    else:
        lines = _Lines()
        async with stdio_server(stdin=cast("anyio.AsyncFile[str]", lines)) as (read, write):
            sys.stdout = sys.stderr  # as `take_wire` does
            yield read, write, lines.end


class _Lines:
    """The lines of stdin, until it ends or `end` is called, after which a signal looks just like the end of input.

    The SDK's own reader cannot be left while stdin is silent (python-sdk issue 3551).
    """

    def __init__(self) -> None:
        self._file = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
        self._reading = anyio.CancelScope()
        self._ended = False

    def end(self) -> None:
        self._ended = True
        self._reading.cancel()

    def __aiter__(self) -> "_Lines":
        return self

    async def __anext__(self) -> str:
        line = ""
        if self._ended:
            raise StopAsyncIteration
        with anyio.CancelScope() as self._reading:
            line = await anyio.to_thread.run_sync(self._file.readline, abandon_on_cancel=True)
        if not line:
            raise StopAsyncIteration
        return line
