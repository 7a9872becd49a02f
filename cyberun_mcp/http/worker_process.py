"""One worker: the process that serves, and the handle with which the first process starts and ends it."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection as PipeEnd
from multiprocessing.context import SpawnProcess

import anyio

from cyberun_mcp.errors import first_cause
from cyberun_mcp.http.client_tokens import ClientTokens
from cyberun_mcp.http.serve import event_loop_options, serve
from cyberun_mcp.http.settings import HttpSettings
from cyberun_mcp.observability.logs import log_to_stderr
from cyberun_mcp.observability.metrics import forget_worker
from cyberun_mcp.observability.stderr import never_wait_for_stderr
from cyberun_mcp.redaction import redact
from cyberun_mcp.settings import Settings

logger = logging.getLogger(__name__)

LONGEST_REASON = 500  # characters

_SERVING = b""  # a worker's report once it serves; any other report is the reason why it cannot


@dataclass(eq=False)
class WorkerProcess:
    """A worker as the first process sees it. `serves` is True once it accepts connections."""

    process: SpawnProcess
    report: PipeEnd
    serves: bool = False
    reload_due: bool = False
    """Whether SIGHUP came while the worker was starting and could not receive it."""

    async def wait_until_serving(self) -> str:
        """Wait until the worker serves, or fails to. Returns the reason if it reports one, in parentheses."""
        await anyio.wait_readable(self.report)
        try:
            reason = self.report.recv_bytes().decode()
        except (EOFError, OSError):  # the worker has died
            return ""
        if reason:
            return f" ({reason})"
        self.serves = True
        logger.info("worker %s serves", self.process.pid)
        if self.reload_due:
            self.send_signal(signal.SIGHUP)
        return ""

    async def wait_until_ended(self) -> None:
        """Wait until the worker has ended, and release what belongs to it."""
        await anyio.wait_readable(self.process.sentinel)
        self.process.join()
        self.report.close()
        forget_worker(self.process.pid or 0)

    def reload_tokens(self) -> None:
        """Let the worker read the client tokens again, at once or as soon as it serves."""
        if self.serves:
            self.send_signal(signal.SIGHUP)
        else:
            self.reload_due = True

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if the worker is still alive."""
        if self.process.pid and self.process.is_alive():
            os.kill(self.process.pid, number)


def start_worker(
    settings: Settings, http_settings: HttpSettings, listener: socket.socket, tokens: ClientTokens | None
) -> WorkerProcess:
    """Start a worker. Raises OSError if the system cannot start another process."""
    spawning = multiprocessing.get_context("spawn")  # a fork would inherit the running event loop and threads
    report, workers_end = spawning.Pipe(duplex=False)
    with workers_end:  # the worker has its own copy, so `report` ends with the worker
        process = spawning.Process(target=_run_worker, args=(settings, http_settings, listener, tokens, workers_end))
        process.start()
    return WorkerProcess(process, report)


def _run_worker(
    settings: Settings,
    http_settings: HttpSettings,
    listener: socket.socket,
    tokens: ClientTokens | None,
    report: PipeEnd,
) -> None:
    """The whole life of a worker, in its own process."""
    os.setsid()  # Ctrl-C in a terminal signals the whole process group, and a second signal would skip the drain
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the first process sends it once the worker can receive it
    never_wait_for_stderr()
    log_to_stderr(settings.log_level, settings.log_format)

    async def serve_until_ended() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_with_first_process)
            await serve(settings, http_settings, listener, tokens, lambda: report.send_bytes(_SERVING))
            tasks.cancel_scope.cancel()

    try:
        anyio.run(serve_until_ended, backend_options=event_loop_options())
    except Exception as error:
        cause = first_cause(error)
        reason = " ".join(redact(f"{type(cause).__name__}: {cause}").split())[:LONGEST_REASON]
        with contextlib.suppress(OSError):  # the first process has ended
            report.send_bytes(reason.encode(errors="replace"))
        logger.exception("this worker cannot go on")
        sys.exit(1)  # otherwise multiprocessing prints the exception, without redaction


async def _end_with_first_process() -> None:
    """End this worker if the first process is killed; otherwise it would keep the port."""
    first = multiprocessing.parent_process()
    if first is not None:
        await anyio.wait_readable(first.sentinel)
        os.kill(os.getpid(), signal.SIGTERM)
