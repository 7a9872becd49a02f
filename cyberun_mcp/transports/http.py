"""Streamable HTTP: a stateless endpoint where every caller brings their own key.

Stateless, because a session would be lost on every deploy and would bind callers to one replica; progress and
cancellation by disconnect work in both eras without one.
"""

import signal
import socket
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import uvicorn
from mcp.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from sse_starlette.sse import AppStatus
from starlette.requests import Request
from starlette.types import ASGIApp

from cyberun_mcp.api.credentials import Credential, credential_from
from cyberun_mcp.server import Context, build_server
from cyberun_mcp.settings import Settings
from cyberun_mcp.transports.edge import LOOPBACK_NAMES, CallersKey, HostAndOrigin, bearer_key

PATH = "/mcp"
BACKLOG = 2048  # connections waiting to be accepted; uvicorn's own default
DRAIN = 10  # seconds a running call may take to finish once the server was told to stop


def build_app(settings: Settings, host: str = "127.0.0.1", allowed_hosts: Collection[str] = ()) -> ASGIApp:
    """The endpoint as an ASGI application. On loopback, or with `allowed_hosts`, only those Hosts are answered."""
    server: Server[Any] = build_server(settings, _callers_credential)
    application = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        # Our own guard does this; the SDK's cannot be told to check origins alone.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    local = host in ("127.0.0.1", "localhost", "::1")
    hosts = LOOPBACK_NAMES | {name.lower() for name in allowed_hosts} if local or allowed_hosts else None
    return HostAndOrigin(CallersKey(application, PATH), hosts)


async def serve_http(app: ASGIApp, listener: socket.socket) -> None:
    """Serve `app` on `listener` until SIGINT or SIGTERM; running calls then have DRAIN seconds to finish."""
    # Otherwise calls of 2025-era clients, which are answered as event streams, are cut at once (python-sdk issue 2150).
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]
    server = _Uvicorn(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=DRAIN,
            timeout_keep_alive=75,
            lifespan="on",
        )
    )

    async def end_on_signal() -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                server.force_exit = server.should_exit  # a second signal does not wait for anyone
                server.should_exit = True

    async with anyio.create_task_group() as tasks:
        if sys.platform != "win32":
            tasks.start_soon(end_on_signal)
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


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
    except OSError:
        listener.close()
        raise
    return listener


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals to us where we can take them: it re-raises them, and the exit status says so."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if sys.platform == "win32":
            with super().capture_signals():
                yield
        else:
            yield


def _callers_credential(context: Context) -> Credential:
    request: Request | None = context.request
    return credential_from(bearer_key(request.headers) if request else None)
