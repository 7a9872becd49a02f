"""Serving from several processes that accept from one socket, one for each core.

The first process only looks after the others: it starts one anew that has died, hands signals on, and ends last.
"""

import logging
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from multiprocessing.context import SpawnProcess

import anyio

from cyberun_mcp.endpoint import EndpointSettings
from cyberun_mcp.logs import log_to_stderr
from cyberun_mcp.metrics import SHARED_DIRECTORY, forget_worker
from cyberun_mcp.settings import Settings
from cyberun_mcp.stderr import never_wait_for_stderr
from cyberun_mcp.transports.serving import event_loop_options, serve

logger = logging.getLogger(__name__)

SHORTEST_LIFE = 1.0  # seconds between two starts in one place, so that a worker that cannot start is no storm
GRACE = 5.0  # seconds beyond the drain, after which a worker that has not ended is stuck


async def serve_with_workers(settings: Settings, endpoint: EndpointSettings, listener: socket.socket) -> None:
    """Have `endpoint.workers` processes serve on `listener` until SIGINT or SIGTERM; returns when all have ended."""
    processes = multiprocessing.get_context("spawn")  # a fork would share the event loop and threads that exist already

    def start() -> SpawnProcess:
        process = processes.Process(target=_work, args=(settings, endpoint, listener))
        process.start()
        return process

    with tempfile.TemporaryDirectory(prefix="cyberun-mcp-metrics-") as shared:
        os.environ[SHARED_DIRECTORY] = shared
        await _Foreman(start, endpoint).look_after(endpoint.workers)


class _Foreman:
    def __init__(self, start: Callable[[], SpawnProcess], endpoint: EndpointSettings) -> None:
        self._start = start
        self._longest_end = endpoint.drain_seconds + GRACE
        self._running: set[SpawnProcess] = set()
        self._ending = False

    async def look_after(self, count: int) -> None:
        async with anyio.create_task_group() as signals:
            signals.start_soon(self._hand_signals_on)
            async with anyio.create_task_group() as places:
                for _ in range(count):
                    places.start_soon(self._keep_one)
            signals.cancel_scope.cancel()

    async def _keep_one(self) -> None:
        """Have a worker in this place until the end has begun."""
        while not self._ending:
            began = anyio.current_time()
            worker = self._start()
            self._running.add(worker)
            await anyio.wait_readable(worker.sentinel)
            worker.join()
            self._running.discard(worker)
            forget_worker(worker.pid or 0)
            if not self._ending:
                logger.error("worker %s has died with status %s; starting another", worker.pid, worker.exitcode)
                await anyio.sleep_until(began + SHORTEST_LIFE)

    async def _hand_signals_on(self) -> None:
        async with anyio.create_task_group() as tasks:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                async for number in signals:
                    if number != signal.SIGHUP and not self._ending:
                        self._ending = True
                        tasks.start_soon(self._kill_what_is_stuck)
                    self._send(signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    async def _kill_what_is_stuck(self) -> None:
        await anyio.sleep(self._longest_end)
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._running:
            if worker.pid and worker.is_alive():
                os.kill(worker.pid, number)


def _work(settings: Settings, endpoint: EndpointSettings, listener: socket.socket) -> None:
    """What a worker does, from its first line to its last."""
    os.setsid()  # Ctrl-C in a terminal reaches every process of a group, and a second signal would hurry the workers
    never_wait_for_stderr()
    log_to_stderr(settings.log_level, settings.log_format)
    anyio.run(_serve_while_looked_after, settings, endpoint, listener, backend_options=event_loop_options())


async def _serve_while_looked_after(settings: Settings, endpoint: EndpointSettings, listener: socket.socket) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_with_the_first_process)
        await serve(settings, endpoint, listener)
        tasks.cancel_scope.cancel()


async def _end_with_the_first_process() -> None:
    """Should the first process be killed, its workers must not hold the port for ever."""
    first = multiprocessing.parent_process()
    if first is not None:
        await anyio.wait_readable(first.sentinel)
        os.kill(os.getpid(), signal.SIGTERM)
