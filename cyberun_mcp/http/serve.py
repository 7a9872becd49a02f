"""Serving the endpoint from one process: its socket, its signals, its garbage collection and its end."""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec

import anyio
from anyio.abc import TaskStatus

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.http.app import HttpApp
from cyberun_mcp.http.client_connection import client_connections
from cyberun_mcp.http.client_tokens import ClientTokens
from cyberun_mcp.http.settings import HttpSettings, reject_unsafe_settings
from cyberun_mcp.http.uvicorn_engine import UvicornServer
from cyberun_mcp.observability.telemetry import process_telemetry
from cyberun_mcp.process import allow_open_files
from cyberun_mcp.settings import Settings
from cyberun_mcp.signals import receive_signals

BACKLOG = 2048  # connections waiting to be accepted; uvicorn's own default
# New objects before a collection of the young generation, and young and middle collections before the next one.
# Python's own are 700, 10, 10. A full collection runs only when the objects it looks at have grown by a quarter, which
# is Python's own rule. With 100 in the last place it never ran, and without uvloop, whose transports are in no cycle,
# each wait left 2 KiB.
GC_THRESHOLDS = (10_000, 10, 1)
OPEN_FILES = 65_536  # two for each wait
ACCEPTED_AT_ONCE = 32  # connections that all workers together accept in one turn of their event loops


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError if the address is in use or does not belong to this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only if the protocol is explicit: 42 ms a response without it, 2 ms with it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def check(settings: Settings, http_settings: HttpSettings) -> ClientTokens | None:
    """The client tokens, if there are any. Raises ConfigurationError if this endpoint must not or cannot be served."""
    reject_unsafe_settings(http_settings, settings)
    if http_settings.own_key:
        credential_from(settings.api_key, settings.team_id)
    return ClientTokens(http_settings.client_tokens) if http_settings.client_tokens else None


async def serve(
    settings: Settings,
    http_settings: HttpSettings,
    listener: socket.socket,
    tokens: ClientTokens | None,
    on_serving: Callable[[], None] = lambda: None,
) -> int:
    """Serve on `listener` until SIGINT or SIGTERM, then let running calls finish. Returns the exit status.

    A second signal ends the process at once; SIGHUP reads the client tokens again. `on_serving` is called once
    connections are accepted.
    """
    allow_open_files(OPEN_FILES)
    async with process_telemetry(os.environ) as metrics:
        app = HttpApp(settings, http_settings, metrics, tokens=tokens)

        def on_started() -> None:
            _tune_garbage_collection()
            on_serving()

        server = UvicornServer(app.asgi, client_connections(app.settings, app.metrics), BACKLOG, on_started)

        async def end_on_signal(*, task_status: TaskStatus[None]) -> None:
            with receive_signals(signal.SIGINT, signal.SIGTERM) as signals:
                task_status.started()
                async for _ in signals:
                    if app.drain.started:
                        server.stop(at_once=True)
                    else:
                        tasks.start_soon(drain)

        async def drain() -> None:
            await app.drain.finish(http_settings.drain_seconds)
            server.stop()

        async def reload_on_signal(*, task_status: TaskStatus[None]) -> None:
            with receive_signals(signal.SIGHUP) as signals:
                task_status.started()
                async for _ in signals:
                    if app.tokens:
                        app.tokens.reload()

        async with anyio.create_task_group() as tasks:
            if sys.platform != "win32":
                await tasks.start(end_on_signal)
                await tasks.start(reload_on_signal)
            tasks.start_soon(app.throttle.monitor)
            async with app.running():
                await server.serve(sockets=_listeners(listener, ACCEPTED_AT_ONCE // http_settings.workers))
            tasks.cancel_scope.cancel()
    return 0


def event_loop_options() -> dict[str, bool]:
    """Options for anyio.run: uvloop, if it is installed. (uvicorn finds httptools by itself.)"""
    return {"use_uvloop": find_spec("uvloop") is not None}


def _listeners(listener: socket.socket, accepted_at_once: int) -> list[socket.socket]:
    """The listener, duplicated once for each connection to accept in one turn of the event loop.

    uvloop accepts one connection for each handle in a turn (libuv pull request 3696, made for servers with idle
    processes), while asyncio's own loop accepts all. With 5,000 waits open, turns are long: a new connection waited
    10 s to be accepted.
    """
    # A worker's copy of the socket counts as blocking, and `dup` would make the one socket that all workers share
    # blocking: a worker that loses the race for a connection would then block in `accept` until the next one comes.
    listener.setblocking(False)
    duplicates = accepted_at_once - 1 if event_loop_options()["use_uvloop"] else 0
    return [listener, *(listener.dup() for _ in range(duplicates))]


def _tune_garbage_collection() -> None:
    """Collect less often, and never look at what has been loaded by now, since it stays until the end.

    With thousands of waits open, full collections at Python's own thresholds block everything for 0.1 to 0.4 s each.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
