"""Serving from several processes that accept from one socket, one for each core.

The first process only looks after the others: it starts one anew that has died, hands signals on, and ends last. It
also holds the client tokens in force. A new worker gets these, because the file may have become unusable meanwhile.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import anyio
from anyio.abc import TaskStatus

from cyberun_mcp.errors import first_cause
from cyberun_mcp.http.client_tokens import ClientTokens
from cyberun_mcp.http.serve import event_loop_options, serve
from cyberun_mcp.http.settings import EndpointSettings
from cyberun_mcp.observability.logs import log_to_stderr
from cyberun_mcp.observability.metrics import SHARED_DIRECTORY, forget_worker
from cyberun_mcp.observability.stderr import never_wait_for_stderr
from cyberun_mcp.redaction import redact
from cyberun_mcp.settings import Settings
from cyberun_mcp.signals import receive_signals

logger = logging.getLogger(__name__)

SHORTEST_LIFE = 1.0  # seconds between two starts in one place, so that a worker that cannot start is no storm
FAILED_STARTS = 5  # in a row, in one place: then the cause is not going away by itself
GRACE = 5.0  # seconds beyond the drain, after which a worker that has not ended is stuck
LONGEST_REASON = 500  # characters

_SERVING = b""  # a worker's report once it serves; any other is the reason why it cannot


async def serve_with_workers(
    settings: Settings, endpoint: EndpointSettings, listener: socket.socket, tokens: ClientTokens | None
) -> int:
    """Have `endpoint.workers` processes serve on `listener` until SIGINT or SIGTERM, or until workers cannot start.

    Returns the exit status to end with, when all workers have ended.
    """
    processes = multiprocessing.get_context("spawn")  # a fork would share the event loop and threads that exist already

    def start() -> _Worker:
        report, workers_end = processes.Pipe(duplex=False)
        with workers_end:  # the worker has its own copy, so that the report ends when the worker does
            process = processes.Process(target=_work, args=(settings, endpoint, listener, tokens, workers_end))
            process.start()
        return _Worker(process, report)

    with tempfile.TemporaryDirectory(prefix="cyberun-mcp-metrics-") as shared:
        os.environ[SHARED_DIRECTORY] = shared
        return await _Foreman(start, endpoint, tokens).look_after(endpoint.workers)


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    report: Connection
    serves: bool = False
    reload_due: bool = False
    """Whether SIGHUP came while it was starting and could not take one."""

    async def start(self) -> str:
        """Wait until it serves, or will not; the reason, if it gives one."""
        await anyio.wait_readable(self.report)
        try:
            reason = self.report.recv_bytes().decode()
        except (EOFError, OSError):  # it is dead
            return ""
        if reason:
            return f" ({reason})"
        self.serves = True
        logger.info("worker %s serves", self.process.pid)
        if self.reload_due:
            self.send(signal.SIGHUP)
        return ""

    async def end(self) -> None:
        """Wait until it has ended."""
        await anyio.wait_readable(self.process.sentinel)
        self.process.join()
        self.report.close()
        forget_worker(self.process.pid or 0)

    def reload(self) -> None:
        """Have it read the client tokens again."""
        if self.serves:
            self.send(signal.SIGHUP)
        else:
            self.reload_due = True

    def send(self, number: signal.Signals) -> None:
        if self.process.pid and self.process.is_alive():
            os.kill(self.process.pid, number)


class _Foreman:
    def __init__(self, start: Callable[[], _Worker], endpoint: EndpointSettings, tokens: ClientTokens | None) -> None:
        self._start = start
        self._tokens = tokens
        self._longest_end = endpoint.drain_seconds + GRACE
        self._background = anyio.create_task_group()
        self._running: set[_Worker] = set()
        self._ending = False
        self._status = 0

    async def look_after(self, count: int) -> int:
        async with self._background:
            await self._background.start(self._hand_signals_on)
            async with anyio.create_task_group() as places:
                for _ in range(count):
                    places.start_soon(self._keep_one)
            self._background.cancel_scope.cancel()
        return self._status

    async def _keep_one(self) -> None:
        """Have a worker in this place until the end has begun."""
        failed_starts = 0
        while not self._ending:
            began = anyio.current_time()
            served, fate = await self._one_life()
            if self._ending:
                return
            failed_starts = 0 if served else failed_starts + 1
            if failed_starts == FAILED_STARTS:
                logger.error("%s; so did the %d before it, none of which served: ending", fate, FAILED_STARTS - 1)
                self._status = 1
                self._end()
                return
            logger.error("%s; starting another", fate)
            await anyio.sleep_until(began + SHORTEST_LIFE)

    async def _one_life(self) -> tuple[bool, str]:
        """Start a worker and wait until it has ended; whether it has served, and what became of it."""
        try:
            worker = self._start()
        except OSError as error:
            return False, f"no worker can be started ({error})"
        self._running.add(worker)
        reason = await worker.start()
        await worker.end()
        self._running.discard(worker)
        return worker.serves, f"worker {worker.process.pid} has died with status {worker.process.exitcode}{reason}"

    async def _hand_signals_on(self, *, task_status: TaskStatus[None]) -> None:
        with receive_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self._reload()
                else:
                    self._end()

    def _reload(self) -> None:
        if self._tokens and self._tokens.reload():
            for worker in self._running:
                worker.reload()

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._background.start_soon(self._kill_what_is_stuck)
        self._send(signal.SIGTERM)

    async def _kill_what_is_stuck(self) -> None:
        await anyio.sleep(self._longest_end)
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._running:
            worker.send(number)


def _work(
    settings: Settings,
    endpoint: EndpointSettings,
    listener: socket.socket,
    tokens: ClientTokens | None,
    report: Connection,
) -> None:
    """What a worker does, from its first line to its last."""
    os.setsid()  # Ctrl-C in a terminal reaches every process of a group, and a second signal would hurry the workers
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the first process sends it when the worker can take it
    never_wait_for_stderr()
    log_to_stderr(settings.log_level, settings.log_format)

    async def serve_while_looked_after() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_with_the_first_process)
            await serve(settings, endpoint, listener, tokens, lambda: report.send_bytes(_SERVING))
            tasks.cancel_scope.cancel()

    try:
        anyio.run(serve_while_looked_after, backend_options=event_loop_options())
    except Exception as error:
        cause = first_cause(error)
        reason = " ".join(redact(f"{type(cause).__name__}: {cause}").split())[:LONGEST_REASON]
        with contextlib.suppress(OSError):  # the first process has ended
            report.send_bytes(reason.encode(errors="replace"))
        logger.exception("this worker cannot go on")
        sys.exit(1)  # multiprocessing would print the exception, and does not redact


async def _end_with_the_first_process() -> None:
    """Should the first process be killed, its workers must not hold the port for ever."""
    first = multiprocessing.parent_process()
    if first is not None:
        await anyio.wait_readable(first.sentinel)
        os.kill(os.getpid(), signal.SIGTERM)
