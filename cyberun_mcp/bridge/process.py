"""The bridge as a process: stdin and stdout, signals, and a quick end."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from cyberun_mcp.bridge.relay import STARTUP_WAIT, Relay
from cyberun_mcp.bridge.remote_settings import RemoteSettings, load_remote_settings
from cyberun_mcp.bridge.stdio import Lines, Output, open_stdio
from cyberun_mcp.observability.stderr import log_losses
from cyberun_mcp.process import allow_open_files, parent_gone
from cyberun_mcp.redaction import RedactingFormatter

_FAREWELL = 0.05  # seconds; clients kill what has not ended 100 ms after the end of its input
_RUNS_AT_END_OF_INPUT = 5.0  # seconds for runs to be answered, which is all that is waited for
_RUNS_AT_SIGNAL = 2.0  # the same, and when the client is gone
_FILES = 4096  # descriptors: each call in flight has a connection, and macOS allows 256 unless asked


def run_bridge(url: str, headers: Sequence[str], header_file: Path | None, *, allow_http: bool) -> int:
    """Serve the client on stdin and stdout until it leaves or a signal comes; the exit status to end with.

    Raises ConfigurationError. The caller ends the process without joining threads: one may wait for stdin.
    """
    _log_to_stderr()
    remote = load_remote_settings(url, headers, header_file, allow_http=allow_http, environ=os.environ)
    allow_open_files(_FILES)
    return asyncio.new_event_loop().run_until_complete(_serve(remote))


async def _serve(remote: RemoteSettings) -> int:
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[int] = loop.create_future()
    _on_signals(loop, signalled)
    with open_stdio() as (lines, output):
        await _relay_until_the_end(remote, lines, output, signalled)
    return signalled.result() if signalled.done() else 0


async def _relay_until_the_end(
    remote: RemoteSettings, lines: Lines, output: Output, signalled: "asyncio.Future[int]"
) -> None:
    relay = Relay(remote, output, STARTUP_WAIT)
    reading = asyncio.create_task(relay.run(lines))
    left = asyncio.create_task(_left(lines.ended, reading))
    ends = (
        reading,
        left,
        signalled,
        asyncio.create_task(output.lost.wait()),
        asyncio.create_task(parent_gone(lambda: lines.last_byte_at)),
    )
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    reading.cancel()  # a run that arrives from now on could not be answered any more
    end_of_input = done <= {reading, left}
    seconds = _RUNS_AT_END_OF_INPUT if end_of_input else _RUNS_AT_SIGNAL
    await relay.finish_runs(seconds, send_waiting=end_of_input)
    await relay.end(_FAREWELL)


async def _left(ended: asyncio.Event, reading: asyncio.Task[None]) -> None:
    """The client has closed our input: its last lines are taken, unless it reads nothing either."""
    await ended.wait()
    await asyncio.wait((reading,), timeout=_FAREWELL / 2)


def _on_signals(loop: asyncio.AbstractEventLoop, signalled: "asyncio.Future[int]") -> None:
    def end(status: int) -> None:
        if not signalled.done():
            signalled.set_result(status)

    statuses: dict[signal.Signals, int] = {signal.SIGINT: 130, signal.SIGTERM: 0}
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as it is after `nohup`
        statuses[signal.SIGHUP] = 128 + signal.SIGHUP
    for number, status in statuses.items():
        try:
            loop.add_signal_handler(number, end, status)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_, status=status: loop.call_soon_threadsafe(end, status))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("cyberun-mcp bridge: %(message)s"))
    log_losses(handler)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
