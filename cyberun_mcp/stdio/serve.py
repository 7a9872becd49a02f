"""The stdio transport: one client on stdin and stdout, and three ways to end (EOF, SIGINT, SIGTERM)."""

import io
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Union, cast

import anyio
from mcp.server import Server
from mcp.server.stdio import stdio_server

from cyberun_mcp.pipes.claim import Wire, divert_stdout, take_wire
from cyberun_mcp.process import parent_gone
from cyberun_mcp.sdk_engine import MessageSink, MessageSource, SessionMessage
from cyberun_mcp.signals import receive_signals
from cyberun_mcp.stdio.ending import Ending
from cyberun_mcp.stdio.eras import serve_both_eras
from cyberun_mcp.stdio.streams import PARTING, Incoming, Outgoing, open_pipe
from cyberun_mcp.tools.in_flight_calls import CallsInFlight

Source = Union[Incoming, "_Lines"]
Sink = Union[Outgoing, "_Output", None]
Streams = tuple[Source, Sink, MessageSource[SessionMessage | Exception], MessageSink[SessionMessage]]


async def serve_stdio(server: Server[Any], wire: Wire | None = None, in_flight: CallsInFlight | None = None) -> int:
    """Serve the client on stdin and stdout until it leaves or a signal comes; the exit status to end with.

    `in_flight` has the calls that `server` is answering. stdout carries the protocol only: file descriptor 1 points at
    stderr meanwhile. After a signal a thread may still be waiting for stdin, so the caller ends the process without
    joining it.
    """
    status = 0

    async def end_on_signal(ending: Ending) -> None:
        nonlocal status
        with receive_signals(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                status = 130 if number == signal.SIGINT else 0
                ending.soon()

    async def end_without_parent(ending: Ending) -> None:
        await parent_gone(lambda: source.heard_at)
        ending.soon()

    wire = wire or take_wire()
    async with _streams(wire) as (source, sink, read, write), anyio.create_task_group() as tasks:
        ending = Ending(in_flight or CallsInFlight(), source.end, sink.hurry if sink else lambda: None)
        if sink:
            sink.on_broken = ending.soon
        if sys.platform != "win32":  # asyncio has no signal receiver there; Ctrl-C arrives as KeyboardInterrupt
            tasks.start_soon(end_on_signal, ending)
        tasks.start_soon(end_without_parent, ending)
        greeting = wire.greeting if wire else None
        await serve_both_eras(server, ending.reading(read), ending.writing(write), greeting)
        tasks.cancel_scope.cancel()
    return status


@asynccontextmanager
async def _streams(wire: Wire | None) -> AsyncIterator[Streams]:
    """Where lines come from and go to, and both directions as messages; without a wire, the SDK's, through threads."""
    if wire is not None:
        with open_pipe(wire) as (incoming, outgoing):
            yield incoming, outgoing, incoming, outgoing
    else:
        lines = _Lines()
        output = _Output(divert_stdout()) if sys.platform != "win32" else None  # there the SDK knows better
        files = cast("anyio.AsyncFile[str]", lines), cast("anyio.AsyncFile[str] | None", output)
        async with stdio_server(*files) as (read, write):
            yield lines, output, read, write


class _Lines:
    """The lines of stdin, until it ends or `end` is called, after which a signal looks just like the end of input.

    The SDK's own reader cannot be left while stdin is silent (python-sdk issue 3551).
    """

    def __init__(self) -> None:
        self._file = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
        self._reading = anyio.CancelScope()
        self._ended = False
        self.heard_at = anyio.current_time()  # when the last line came

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
        self.heard_at = anyio.current_time()
        return line


class _Output:
    """Lines to the client, as the SDK writes them, by a thread that is left alone when the client does not read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._writing = anyio.CancelScope()
        self.on_broken: Callable[[], None] = lambda: None  # called when the client reads no more

    async def write(self, text: str) -> None:
        with anyio.CancelScope(deadline=self._writing.deadline) as self._writing:
            try:
                await anyio.to_thread.run_sync(self._write_all, text.encode(), abandon_on_cancel=True)
            except OSError:
                self.on_broken()

    async def flush(self) -> None:
        """Nothing is kept back."""

    def hurry(self) -> None:
        """Writing takes no longer than `PARTING` from now on."""
        self._writing.deadline = anyio.current_time() + PARTING

    def _write_all(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])
