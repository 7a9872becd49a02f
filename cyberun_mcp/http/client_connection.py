"""One connection of a client: bounded in bytes and in time, and one request after another.

uvicorn bounds neither, apart from 64 KiB of headers with h11. Here uvicorn's protocol gets the next request only after
the previous one has been answered.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyberun_mcp.http.request_body import BadRequest
from cyberun_mcp.http.request_framing import Phase, RequestFraming
from cyberun_mcp.http.settings import KIB, HttpSettings
from cyberun_mcp.http.uvicorn_engine import TransportWithOwnClose, UvicornProtocol
from cyberun_mcp.observability.telemetry import Telemetry

LINGER_SECONDS = 5.0  # to read on after the last response; nginx's `lingering_timeout`
MOST_DISCARDED = 256 * 1024  # bytes of an unwanted body that are read in order to keep the connection
_CLOSE = (b"connection", b"close")


def client_connections(settings: HttpSettings, telemetry: Telemetry) -> Callable[..., asyncio.Protocol]:
    """The factory of each connection's protocol, as `UvicornServer` takes it."""
    return partial(ClientConnection, settings, telemetry)


class ClientConnection(UvicornProtocol):
    """uvicorn's protocol behind `RequestFraming`, with a time limit for each part of a request."""

    def __init__(self, settings: HttpSettings, telemetry: Telemetry, **options: Any) -> None:
        super().__init__(**options)
        self._telemetry = telemetry
        self._largest_head = int(settings.max_headers * KIB)
        self._seconds = {
            Phase.IDLE: settings.idle_seconds,
            Phase.HEAD: settings.headers_seconds,
            Phase.BODY: settings.body_seconds,
        }
        self._framing = RequestFraming(self._largest_head)
        self._parser_started = False  # whether the parser has got any bytes of the current request
        self._lingering = False
        self._timer: asyncio.TimerHandle | None = None
        self.wrap_app(self._announcing_close)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._uvicorn_transport = TransportWithOwnClose(transport, self.close, self.is_closing)
        super().connection_made(cast("asyncio.Transport", self._uvicorn_transport))
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        # Both refer to this object: without these cycles it is freed now, not at the next of the rare collections.
        self.unwrap_app()
        self._uvicorn_transport.restore()

    def data_received(self, data: bytes) -> None:
        if not self._lingering:
            self._process(data)

    def request_answered(self) -> None:
        self._next_request()

    def shutdown(self) -> None:
        """Called by uvicorn's server when it shuts down."""
        if self._framing.phase is Phase.COMPLETE and not self.is_closing():
            super().shutdown()  # after the response
        else:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether no further request will be answered."""
        return self._lingering or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection. If a request is still arriving, give the client time to read the response.

        Unread bytes would reset the connection, and the client might lose the response.
        """
        if self.is_closing():
            return
        if self._framing.phase not in (Phase.HEAD, Phase.BODY):
            self._transport.close()
            return
        self._lingering = True
        self._stop_timer()
        self._timer = self.loop.call_later(LINGER_SECONDS, self._on_timeout)
        self._transport.resume_reading()
        self._transport.write_eof()

    def _announcing_close(self, app: ASGIApp) -> ASGIApp:
        """Add `Connection: close` to a response that is sent before a long body has arrived.

        The connection ends with such a response, and proxies share connections. Plain functions: a coroutine would
        stay in memory for each wait.
        """

        def with_announcing_send(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            def send_announcing(message: Message) -> Awaitable[None]:
                unread = self._framing.phase is Phase.BODY and self._framing.body.remaining > MOST_DISCARDED
                if unread and message["type"] == "http.response.start":
                    message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
                return send(message)

            return app(scope, receive, send_announcing)

        return with_announcing_send

    def _process(self, data: bytes) -> None:
        phase_before = self._framing.phase
        try:
            request = self._framing.read(data)
        except BadRequest as error:
            self._reject(error)
            return
        if request:
            self._parser_started = True
            super().data_received(request)
        if self._framing.phase is not phase_before:
            self._start_timer()
        if self._framing.buffered > self._largest_head:
            self._transport.pause_reading()
        self._next_request()

    def _next_request(self) -> None:
        """Start with the next request if the current one has arrived completely and has been answered."""
        if self._framing.phase is Phase.COMPLETE and self.response_complete and not self.is_closing():
            self._framing.next_request()
            self._parser_started = False
            self._start_timer()
            self._transport.resume_reading()
            if self._framing.buffered:
                self._process(b"")

    def _start_timer(self) -> None:
        self._stop_timer()
        seconds = self._seconds.get(self._framing.phase)  # no limit while the request is being answered
        if seconds is not None:
            self._timer = self.loop.call_later(seconds, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _on_timeout(self) -> None:
        if self.is_closing():
            self._transport.abort()
        elif self._framing.phase is Phase.IDLE:
            self.close()
        else:
            self._reject(BadRequest("The request took too long to arrive.", 408, "time"))

    def _reject(self, error: BadRequest) -> None:
        """Answer the current request, unless its response has started, and stop reading."""
        self._telemetry.rejected(error.reason)
        if not self._parser_started or not self.response_started:
            self._transport.write(_error_response(error))
        if self._parser_started and not self.response_complete:
            self.report_disconnect()
        self.close()


def _error_response(error: BadRequest) -> bytes:
    phrase, body = HTTPStatus(error.status).phrase, f"{error}\n"
    head = (
        f"HTTP/1.1 {error.status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return (head + body).encode()
