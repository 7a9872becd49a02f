"""The stdio transport: one client on stdin and stdout, and three ways to end (EOF, SIGINT, SIGTERM)."""

import io
import signal
import sys
from typing import Any, cast

import anyio
from mcp.server import Server
from mcp.server.stdio import stdio_server

from cyberun_mcp.transports.eras import serve_both_eras


async def serve_stdio(server: Server[Any]) -> int:
    """Serve the client on stdin and stdout until it leaves or a signal comes; the exit status to end with.

    stdout carries the protocol only: the SDK points file descriptor 1 at stderr while it serves. After a signal a
    thread may still be waiting for stdin, so the caller ends the process without joining it.
    """
    status = 0
    lines = _Lines()

    async def end_on_signal() -> None:
        nonlocal status
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                status = 130 if number == signal.SIGINT else 0
                lines.end()

    stdin = cast("anyio.AsyncFile[str]", lines)
    async with stdio_server(stdin=stdin) as (read, write), anyio.create_task_group() as tasks:
        if sys.platform != "win32":  # asyncio has no signal receiver there; Ctrl-C arrives as KeyboardInterrupt
            tasks.start_soon(end_on_signal)
        await serve_both_eras(server, read, write)
        tasks.cancel_scope.cancel()
    return status


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
