"""Serving the endpoint from one process: how it starts, what signals do to it, how it ends."""

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec

import anyio
import uvicorn
from anyio.abc import TaskStatus

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.http.app import Application
from cyberun_mcp.http.client_connection import client_connections
from cyberun_mcp.http.client_tokens import ClientTokens
from cyberun_mcp.http.settings import EndpointSettings, refuse_open_door
from cyberun_mcp.observability.metrics import Metrics
from cyberun_mcp.observability.telemetry import exporter_configured
from cyberun_mcp.process import allow_open_files
from cyberun_mcp.settings import Settings
from cyberun_mcp.signals import receive_signals

logger = logging.getLogger(__name__)

BACKLOG = 2048  # connections waiting to be accepted; uvicorn's own default
LAST_REQUESTS = 0.2  # seconds in which requests on the connections accepted last arrive, and get their 503
# Objects, young and middle collections before each collection; Python's own are 700, 10, 10. A full one runs only when
# the objects it looks at have grown by a quarter, which is Python's own rule. With 100 in the last place it never ran,
# and without uvloop, whose transports are in no cycle, each wait left 2 KiB.
CALM = (10_000, 10, 1)
OPEN_FILES = 65_536  # two for each wait
ACCEPTED_AT_ONCE = 32  # connections that busy workers take, together, in one turn of their event loops
CUTTING = 1  # seconds that calls which outlived the drain get to notice it


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named: 42 ms an answer without this, 2 ms with it.
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


def check(settings: Settings, endpoint: EndpointSettings) -> ClientTokens | None:
    """The client tokens, if any. Raises ConfigurationError when this endpoint must not, or could not, be served."""
    refuse_open_door(endpoint, settings)
    if endpoint.own_key:
        credential_from(settings.api_key, settings.team_id)
    return ClientTokens(endpoint.client_tokens) if endpoint.client_tokens else None


async def serve(
    settings: Settings,
    endpoint: EndpointSettings,
    listener: socket.socket,
    tokens: ClientTokens | None,
    on_serving: Callable[[], None] = lambda: None,
) -> int:
    """Serve on `listener` until SIGINT or SIGTERM, then let running calls finish; SIGHUP reads the client tokens again.

    A second signal does not wait for anyone. `on_serving` is called once connections are accepted. Returns the exit
    status to end with.
    """
    allow_open_files(OPEN_FILES)
    async with telemetry_from(os.environ) as metrics:
        application = Application(settings, endpoint, metrics, tokens=tokens)
        server = _Uvicorn(_configuration(application), on_serving)

        async def end_on_signal(*, task_status: TaskStatus[None]) -> None:
            with receive_signals(signal.SIGINT, signal.SIGTERM) as signals:
                task_status.started()
                async for _ in signals:
                    if application.drain.begun:
                        server.force_exit = server.should_exit = True
                    else:
                        tasks.start_soon(drain)

        async def drain() -> None:
            await application.drain.finish(endpoint.drain_seconds)
            server.should_exit = True

        async def reload_on_signal(*, task_status: TaskStatus[None]) -> None:
            with receive_signals(signal.SIGHUP) as signals:
                task_status.started()
                async for _ in signals:
                    if application.tokens:
                        application.tokens.reload()

        async with anyio.create_task_group() as tasks:
            if sys.platform != "win32":
                await tasks.start(end_on_signal)
                await tasks.start(reload_on_signal)
            tasks.start_soon(application.throttle.monitor)
            async with application.running():
                await server.serve(sockets=_handles(listener, ACCEPTED_AT_ONCE // endpoint.workers))
            tasks.cancel_scope.cancel()
    return 0


def event_loop_options() -> dict[str, bool]:
    """What to tell anyio.run: uvloop, where it is installed. (uvicorn finds httptools by itself.)"""
    return {"use_uvloop": find_spec("uvloop") is not None}


def _handles(listener: socket.socket, at_once: int) -> list[socket.socket]:
    """The listener, as often as connections are to be taken at once.

    uvloop takes one for each handle in a turn of the event loop (libuv pull request 3696, which has idle processes in
    mind; asyncio's own loop takes all there are). With 5,000 waits open turns are long, and a new connection waited
    10 s to be accepted.
    """
    # A worker's copy says of itself that it blocks, and `dup` would make that true of the one socket all workers share:
    # whichever of them then loses the race for a connection stands still in `accept` until the next one comes.
    listener.setblocking(False)
    more = at_once - 1 if event_loop_options()["use_uvloop"] else 0
    return [listener, *(listener.dup() for _ in range(more))]


@asynccontextmanager
async def telemetry_from(environ: Mapping[str, str]) -> AsyncIterator[Metrics]:
    """Metrics; and traces, where the environment names an exporter."""
    if not exporter_configured(environ):
        yield Metrics()
        return
    try:
        from cyberun_mcp.observability.tracing import TracedMetrics, export_traces

        stop = export_traces()
    except ImportError as error:
        logger.warning(
            "OTEL_ variables ask for traces, which need an extra: pip install 'cyberun-mcp[otel]' (%s)", error
        )
        yield Metrics()
        return
    try:
        yield TracedMetrics()
    finally:
        await anyio.to_thread.run_sync(stop)


def _configuration(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application.asgi,
        log_config=None,
        access_log=False,
        proxy_headers=False,  # our own guard does this, and for the Host too
        server_header=False,
        ws="none",  # MCP has no use for WebSockets, and the guards look at HTTP only
        timeout_graceful_shutdown=CUTTING,
        http=client_connections(application.endpoint, application.metrics),  # type: ignore[arg-type]
        backlog=BACKLOG,
        lifespan="off",
    )


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals to us where we can take them: it re-raises them, and the exit status says so."""

    def __init__(self, config: uvicorn.Config, on_serving: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_serving = on_serving

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # It would close connections that have just been accepted with their request unread, and whoever sent one could
        # not tell whether it was carried out. So it listens no more, but answers these.
        for each in self.servers:
            each.close()
        await anyio.sleep(LAST_REQUESTS)
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What has been loaded stays for ever and need not be looked at again; and with thousands of waits open, full
        # collections at the usual pace stall everything for 0.1 to 0.4 s each.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*CALM)
        self._on_serving()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if sys.platform == "win32":
            with super().capture_signals():
                yield
        else:
            yield
