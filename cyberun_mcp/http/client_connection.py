"""One connection of a client: bounded in bytes and in time, and one request after another.

uvicorn bounds neither, apart from 64 KiB of headers with h11. Its protocol, on h11 or on httptools, does the rest here;
it is given the next request only when the last one has been answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.http.request_body import BadRequest
from cyberun_mcp.http.request_framing import Phase, RequestFraming
from cyberun_mcp.http.settings import KIB, EndpointSettings
from cyberun_mcp.observability.telemetry import Telemetry

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as UvicornProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as UvicornProtocol

LINGER = 5.0  # seconds to read on after the last answer; nginx does so as long
MOST_DISCARDED = 256 * 1024  # bytes of a body nobody wants that are read, rather than losing the connection
_CLOSE = (b"connection", b"close")


def client_connections(endpoint: EndpointSettings, telemetry: Telemetry) -> Callable[..., asyncio.Protocol]:
    """What makes the protocol of each connection, as `uvicorn.Config` takes it."""
    return partial(ClientConnection, endpoint, telemetry)


class ClientConnection(UvicornProtocol):
    """uvicorn's protocol behind `RequestFraming`, with time limits for whatever a client has to send."""

    def __init__(self, endpoint: EndpointSettings, telemetry: Telemetry, **options: Any) -> None:
        super().__init__(**options)
        self._telemetry = telemetry
        self._largest_head = int(endpoint.max_headers * KIB)
        self._seconds = {
            Phase.SILENT: endpoint.idle_seconds,
            Phase.HEAD: endpoint.headers_seconds,
            Phase.BODY: endpoint.body_seconds,
        }
        self._framing = RequestFraming(self._largest_head)
        self._begun = False  # whether the parser has seen anything of the current request
        self._lingering = False
        self._timer: asyncio.TimerHandle | None = None
        self.app = self._announcing_the_end(self.app)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._shown = _ClosedBy(self, transport)
        super().connection_made(cast("asyncio.Transport", self._shown))
        self._limit_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        # Both refer to this object. Without that it goes at once, not at the next of the rare garbage collections.
        self.app = self.config.loaded_app
        self._shown.let_go()

    def data_received(self, data: bytes) -> None:
        if not self._lingering:
            self._take(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._go_on()

    def shutdown(self) -> None:
        if self._framing.phase is Phase.COMPLETE and not self.is_closing():
            super().shutdown()  # after its answer
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more is answered."""
        return self._lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection. Where a request is still coming in, the client gets the time to read its answer.

        Bytes that nobody has read would reset the connection, and the answer might be lost.
        """
        if self.is_closing():
            return
        if self._framing.phase not in (Phase.HEAD, Phase.BODY):
            self._transport.close()
            return
        self._lingering = True
        self._stop_timer()
        self._timer = self.loop.call_later(LINGER, self._time_is_up)
        self._transport.resume_reading()
        self._transport.write_eof()

    def timeout_keep_alive_handler(self) -> None:
        """uvicorn's own limit, which takes half a request for none; `_time_is_up` replaces it."""

    def _announcing_the_end(self, app: ASGIApp) -> ASGIApp:
        """Closes the connection with an answer that comes before a long body, and says so: proxies share connections.

        Plain functions, since a wait would keep a coroutine more.
        """

        def announcing(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            def send_announced(message: Message) -> Awaitable[None]:
                unread = self._framing.phase is Phase.BODY and self._framing.body.to_come > MOST_DISCARDED
                if unread and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
                return send(message)

            return app(scope, receive, send_announced)

        return announcing

    def _take(self, data: bytes) -> None:
        before = self._framing.phase
        try:
            request = self._framing.read(data)
        except BadRequest as rejection:
            self._reject(rejection)
            return
        if request:
            self._begun = True
            super().data_received(request)
        if self._framing.phase is not before:
            self._limit_time()
        if self._framing.sent_ahead > self._largest_head:
            self._transport.pause_reading()
        self._go_on()

    def _go_on(self) -> None:
        """Begin with the next request when this one has come in and been answered."""
        if self._framing.phase is Phase.COMPLETE and self.cycle.response_complete and not self.is_closing():
            self._framing.next_request()
            self._begun = False
            self._limit_time()
            self._transport.resume_reading()
            if self._framing.sent_ahead:
                self._take(b"")

    def _limit_time(self) -> None:
        self._stop_timer()
        seconds = self._seconds.get(self._framing.phase)  # an answer may take as long as it likes
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _time_is_up(self) -> None:
        if self.is_closing():
            self._transport.abort()
        elif self._framing.phase is Phase.SILENT:
            self.close()
        else:
            self._reject(BadRequest("The request took too long to arrive.", 408, "time"))

    def _reject(self, rejection: BadRequest) -> None:
        """Answer the current request once, unless its answer has begun already, and listen to nothing more."""
        self._telemetry.refused(rejection.reason)
        if not self._begun or not self.cycle.response_started:
            self._transport.write(_answer(rejection))
        if self._begun and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.close()


class _ClosedBy:
    """A transport as uvicorn sees it, which is closed by the connection, who knows what is still to be read."""

    def __init__(self, connection: ClientConnection, transport: asyncio.Transport) -> None:
        self.close = connection.close
        self.is_closing = connection.is_closing
        self.write = transport.write
        self._transport = transport

    def let_go(self) -> None:
        """Have the transport closed by itself."""
        self.close, self.is_closing = self._transport.close, self._transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _answer(rejection: BadRequest) -> bytes:
    phrase, words = HTTPStatus(rejection.status).phrase, f"{rejection}\n"
    head = (
        f"HTTP/1.1 {rejection.status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(words)}\r\nConnection: close\r\n\r\n"
    )
    return (head + words).encode()
