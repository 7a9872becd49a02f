"""One connection of a client: bounded in bytes and in time, and one request after another.

uvicorn bounds neither, apart from 64 KiB of headers with h11. Its protocol, on h11 or on httptools, does the rest here;
it is given the next request only when the last one has been answered.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cyberun_mcp.endpoint import KIB, EndpointSettings
from cyberun_mcp.telemetry import Telemetry
from cyberun_mcp.transports.request_body import BadRequest
from cyberun_mcp.transports.request_framing import Phase, RequestFraming

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as UvicornProtocol
else:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol as UvicornProtocol

LINGER = (
    5.0  # seconds to read on after the last answer: unread bytes would reset the connection, and the answer be lost
)
MOST_DISCARDED = 256 * 1024  # bytes of a body nobody wants that are read, rather than losing the connection


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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit_time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._lingering:
            self._take(data)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._framing.phase is Phase.BODY and self._framing.body.to_come > MOST_DISCARDED:
            self._close_soon()
        self._go_on()

    def shutdown(self) -> None:
        if self._lingering:
            self.transport.abort()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """uvicorn's own limit, which takes half a request for none; `_time_is_up` replaces it."""

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
            self.transport.pause_reading()
        self._go_on()

    def _go_on(self) -> None:
        """Begin with the next request when this one has come in and been answered."""
        if self._framing.phase is Phase.COMPLETE and self.cycle.response_complete and not self.transport.is_closing():
            self._framing.next_request()
            self._begun = False
            self._limit_time()
            self.transport.resume_reading()
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
        if self._lingering or self.transport.is_closing():
            self.transport.abort()
        elif self._framing.phase is Phase.SILENT:
            self.transport.close()
        else:
            self._reject(BadRequest("The request took too long to arrive.", 408, "time"))

    def _reject(self, rejection: BadRequest) -> None:
        """Answer the current request once, unless its answer has begun already, and listen to nothing more."""
        self._telemetry.refused(rejection.reason)
        if not self._begun or not self.cycle.response_started:
            self.transport.write(_answer(rejection))
        if self._begun and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._close_soon()

    def _close_soon(self) -> None:
        self._lingering = True
        self._stop_timer()
        self._timer = self.loop.call_later(LINGER, self._time_is_up)
        self.flow.resume_reading()
        self.transport.write_eof()


def _answer(rejection: BadRequest) -> bytes:
    phrase, words = HTTPStatus(rejection.status).phrase, f"{rejection}\n"
    head = (
        f"HTTP/1.1 {rejection.status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(words)}\r\nConnection: close\r\n\r\n"
    )
    return (head + words).encode()
