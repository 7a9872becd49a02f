"""Serving from several processes that share one listening socket, one for each core.

The first process does not serve. It restarts workers that have died, forwards signals to them, and ends last. It also
holds the client tokens in force, which each new worker gets from it: the file may have become invalid since.
"""

import logging
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import TaskStatus

from cyberun_mcp.http.client_tokens import ClientTokens
from cyberun_mcp.http.settings import HttpSettings
from cyberun_mcp.http.worker_process import WorkerProcess, start_worker
from cyberun_mcp.observability.metrics import SHARED_DIRECTORY
from cyberun_mcp.settings import Settings
from cyberun_mcp.signals import receive_signals

logger = logging.getLogger(__name__)

RESTART_INTERVAL = 1.0  # seconds between two starts in one slot, so that a worker that cannot start does not loop
FAILED_STARTS = 5  # in a row, in one slot: then the cause will not go away by itself
KILL_AFTER = 5.0  # seconds beyond the drain, after which a worker that has not ended is stuck


async def serve_with_workers(
    settings: Settings, http_settings: HttpSettings, listener: socket.socket, tokens: ClientTokens | None
) -> int:
    """Serve with `http_settings.workers` processes until SIGINT or SIGTERM, or until workers cannot start.

    Returns the exit status once all workers have ended.
    """
    start = partial(start_worker, settings, http_settings, listener, tokens)
    with tempfile.TemporaryDirectory(prefix="cyberun-mcp-metrics-") as shared:
        os.environ[SHARED_DIRECTORY] = shared
        return await _Supervisor(start, http_settings, tokens).run(http_settings.workers)


class _Supervisor:
    """Keeps the workers running, and ends them."""

    def __init__(self, start: Callable[[], WorkerProcess], settings: HttpSettings, tokens: ClientTokens | None) -> None:
        self._start = start
        self._tokens = tokens
        self._kill_after = settings.drain_seconds + KILL_AFTER
        self._background = anyio.create_task_group()
        self._workers: set[WorkerProcess] = set()
        self._ending = False
        self._exit_status = 0

    async def run(self, count: int) -> int:
        """Keep `count` workers running until the end; the exit status."""
        async with self._background:
            await self._background.start(self._forward_signals)
            async with anyio.create_task_group() as slots:
                for _ in range(count):
                    slots.start_soon(self._keep_one_running)
            self._background.cancel_scope.cancel()
        return self._exit_status

    async def _keep_one_running(self) -> None:
        """Restart the worker of one slot until the end has begun."""
        failed_starts = 0
        while not self._ending:
            started_at = anyio.current_time()
            served, description = await self._run_one()
            if self._ending:
                return
            failed_starts = 0 if served else failed_starts + 1
            if failed_starts == FAILED_STARTS:
                logger.error(
                    "%s; so did the %d before it, none of which served: ending", description, FAILED_STARTS - 1
                )
                self._exit_status = 1
                self._end()
                return
            logger.error("%s; starting another", description)
            await anyio.sleep_until(started_at + RESTART_INTERVAL)

    async def _run_one(self) -> tuple[bool, str]:
        """Start a worker and wait until it ends. Returns whether it has served, and how it ended, in words."""
        try:
            worker = self._start()
        except OSError as error:
            return False, f"no worker can be started ({error})"
        self._workers.add(worker)
        reason = await worker.wait_until_serving()
        await worker.wait_until_ended()
        self._workers.discard(worker)
        return worker.serves, f"worker {worker.process.pid} has died with status {worker.process.exitcode}{reason}"

    async def _forward_signals(self, *, task_status: TaskStatus[None]) -> None:
        with receive_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self._reload_tokens()
                else:
                    self._end()

    def _reload_tokens(self) -> None:
        if self._tokens and self._tokens.reload():
            for worker in self._workers:
                worker.reload_tokens()

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self._background.start_soon(self._kill_stuck_workers)
        self._send_to_all(signal.SIGTERM)

    async def _kill_stuck_workers(self) -> None:
        await anyio.sleep(self._kill_after)
        self._send_to_all(signal.SIGKILL)

    def _send_to_all(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.send_signal(number)
