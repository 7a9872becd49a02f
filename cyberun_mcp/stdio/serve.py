"""The stdio transport: one client on stdin and stdout, and two kinds of end (EOF, a signal)."""

import signal
import sys
from typing import Any

import anyio
from mcp.server import Server

from cyberun_mcp.pipes.claim import StdioPipes, claim_stdio, claim_stdio_for_threads
from cyberun_mcp.process import parent_gone
from cyberun_mcp.signals import receive_signals
from cyberun_mcp.stdio.ending import Ending
from cyberun_mcp.stdio.eras import serve_both_eras
from cyberun_mcp.stdio.snapshot_writer import renew_snapshot
from cyberun_mcp.stdio.streams import open_streams
from cyberun_mcp.tools.in_flight_calls import CallsInFlight


async def serve_stdio(
    server: Server[Any], pipes: StdioPipes | None = None, in_flight: CallsInFlight | None = None
) -> int:
    """Serve the client on stdin and stdout until it leaves or a signal comes; the exit status to end with.

    `pipes` are those the fast start has claimed; `in_flight` has the calls that `server` is answering. stdout carries
    the protocol only: file descriptor 1 points at stderr meanwhile. After a signal a thread may still be waiting for
    stdin, so the caller ends the process without joining it.
    """
    status = 0

    async def end_on_signal() -> None:
        nonlocal status
        statuses: dict[signal.Signals, int] = {signal.SIGINT: 130, signal.SIGTERM: 0}
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is after `nohup`
            statuses[signal.SIGHUP] = 128 + signal.SIGHUP
        with receive_signals(*statuses) as signals:
            async for number in signals:
                status = statuses[number]
                ending.soon()

    async def end_without_parent() -> None:
        await parent_gone(lambda: reader.last_byte_at)
        ending.soon()

    pipes = pipes or claim_stdio() or claim_stdio_for_threads()
    with open_streams(pipes) as (reader, writer):
        ending = Ending(in_flight or CallsInFlight(), reader.stop, writer.close_soon)
        writer.lines.on_broken = ending.soon
        async with anyio.create_task_group() as tasks:
            if sys.platform != "win32":  # asyncio has no signal receiver there; Ctrl-C arrives as KeyboardInterrupt
                tasks.start_soon(end_on_signal)
            tasks.start_soon(end_without_parent)
            tasks.start_soon(renew_snapshot)
            await serve_both_eras(server, ending.reading(reader), ending.writing(writer), pipes.initialize)
            tasks.cancel_scope.cancel()
    return status
