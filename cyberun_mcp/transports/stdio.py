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
    stdin = cast("anyio.AsyncFile[str]", _Lines())
    async with stdio_server(stdin=stdin) as (read, write), anyio.create_task_group() as tasks:

        async def end_on_signal() -> None:
            nonlocal status
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    status = 128 + number if number == signal.SIGINT else 0
                    tasks.cancel_scope.cancel()

        if sys.platform != "win32":  # asyncio has no signal receiver there; Ctrl-C arrives as KeyboardInterrupt
            tasks.start_soon(end_on_signal)
        await serve_both_eras(server, read, write)
        tasks.cancel_scope.cancel()
    return status


class _Lines:
    """The lines of stdin. Unlike the SDK's reader it can be cancelled, which python-sdk issue 3551 is about."""

    def __init__(self) -> None:
        self._file = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")

    def __aiter__(self) -> "_Lines":
        return self

    async def __anext__(self) -> str:
        line = await anyio.to_thread.run_sync(self._file.readline, abandon_on_cancel=True)
        if not line:
            raise StopAsyncIteration
        return line
