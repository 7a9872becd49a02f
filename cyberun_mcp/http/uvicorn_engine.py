"""Every use of uvicorn's internals: its protocol class for one connection, and its server.

uvicorn offers no hook between its protocol and the socket, and none around its start and end, so both classes are
subclassed here. It does not promise to keep their attributes. So `pyproject.toml` binds `uvicorn` below its next minor
release, and `tests/http/test_uvicorn_engine.py` holds every other module of this package to importing them from here.
(The emulator is separate: it has a server of its own, and imports nothing from here.)
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import uvicorn
from starlette.types import ASGIApp

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as AutoHTTPProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

ProtocolFactory = Callable[..., asyncio.Protocol]

SHUTDOWN_SECONDS = 1  # for calls that were cancelled at the end of the drain, to clean up
LAST_REQUESTS_SECONDS = 0.2  # in which requests on the connections accepted last arrive, and get their 503


class UvicornProtocol(AutoHTTPProtocol):
    """uvicorn's protocol for one connection, on h11 or on httptools, with what `ClientConnection` uses of its state."""

    @property
    def response_started(self) -> bool:
        """Whether the response to the current request has started."""
        return self.cycle.response_started

    @property
    def response_complete(self) -> bool:
        """Whether the current request has been answered."""
        return self.cycle.response_complete

    def report_disconnect(self) -> None:
        """Let the application's `receive` return `http.disconnect` for the current request."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def wrap_app(self, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        """Serve this connection with `wrap(app)`."""
        self.app = wrap(self.app)

    def unwrap_app(self) -> None:
        """Undo `wrap_app`."""
        self.app = self.config.loaded_app

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.request_answered()

    def request_answered(self) -> None:
        """Called when the response to the current request has been written."""

    def timeout_keep_alive_handler(self) -> None:
        """Disabled: uvicorn's own time limit treats half a request as none. ClientConnection has its own."""


class TransportWithOwnClose:
    """A transport whose `close` and `is_closing` are replaced; uvicorn closes its connections through these."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None], is_closing: Callable[[], bool]) -> None:
        self.close = close
        self.is_closing = is_closing
        self.write = transport.write
        self._transport = transport

    def restore(self) -> None:
        """Use the transport's own `close` and `is_closing` again."""
        self.close, self.is_closing = self._transport.close, self._transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class UvicornServer(uvicorn.Server):
    """uvicorn's server, which leaves signals to us on POSIX: it re-raises them, and the exit status would show that.

    `on_started` is called once connections are accepted.
    """

    def __init__(self, app: ASGIApp, protocol: ProtocolFactory, backlog: int, on_started: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                proxy_headers=False,  # middleware/trusted_proxies.py does this, and for the Host too
                server_header=False,
                ws="none",  # MCP does not use WebSockets, and the middleware checks HTTP only
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                http=protocol,  # type: ignore[arg-type]
                backlog=backlog,
                lifespan="off",
            )
        )
        self._on_started = on_started

    def stop(self, *, at_once: bool = False) -> None:
        """End `serve`: after the running requests, or `at_once`."""
        self.should_exit = True
        self.force_exit = self.force_exit or at_once

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn would close connections that have just been accepted without reading their requests, and the client
        # could not know whether its request was carried out. So stop listening, but answer these.
        for server in self.servers:
            server.close()
        await anyio.sleep(LAST_REQUESTS_SECONDS)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if sys.platform == "win32":
            with super().capture_signals():
                yield
        else:
            yield
