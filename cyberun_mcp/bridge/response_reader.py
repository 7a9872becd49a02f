"""Reads the bytes that the remote sends on one connection.

Two things are known here that a plain StreamReader does not report: whether any received bytes are still unread, and
how long the current read has been waiting for the next byte.
"""

import asyncio
from collections.abc import Callable

from cyberun_mcp.bridge.errors import ConnectionLost, InvalidResponse

BUFFER = 256 * 1024  # bytes; asyncio pauses the remote once it holds twice as many


class ResponseReader(asyncio.StreamReader):
    """The receiving side of a connection."""

    def __init__(self) -> None:
        super().__init__(limit=BUFFER)
        self._clock = asyncio.get_running_loop().time
        self._on_unexpected: Callable[[], None] | None = None
        self._unread = 0  # bytes
        self._response_started = False
        self._ended = False
        self._failure = ""
        self._waiting_since: float | None = None

    @property
    def drained(self) -> bool:
        """Whether the connection is open and every received byte has been read."""
        return not self._ended and not self._unread

    @property
    def silent_for(self) -> float:
        """Seconds since the current read began or last received a byte; 0 if nothing is being read."""
        return 0.0 if self._waiting_since is None else self._clock() - self._waiting_since

    def expect_nothing(self, on_unexpected: Callable[[], None]) -> None:
        """Until the next `expect_response`, call the function when any data or the end of the stream arrives."""
        self._on_unexpected = on_unexpected
        if not self.drained:
            on_unexpected()

    def expect_response(self) -> None:
        """A request is about to be sent, so the next byte starts its response."""
        self._on_unexpected = None
        self._response_started = False

    def fail(self, reason: str) -> None:
        """Stop receiving. Reads that need more data raise ConnectionLost with this reason."""
        if not self._ended:
            self._failure = reason
            self.feed_eof()

    async def read_some(self, limit: int) -> bytes:
        """Between one and `limit` bytes, or none after a regular end of the stream. Raises ConnectionLost."""
        self._waiting_since = self._clock()
        try:
            piece = await self.read(limit)
        finally:
            self._waiting_since = None
        if not piece and self._failure:
            raise self.connection_lost()
        self._count_read(piece)
        return piece

    async def read_line(self) -> bytes:
        """The next line without its CRLF. Raises ConnectionLost, or InvalidResponse for any other line end."""
        self._waiting_since = self._clock()
        try:
            line = await self.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            self._count_read(error.partial)
            raise self.connection_lost() from error
        except asyncio.LimitOverrunError as error:
            raise InvalidResponse("it has a line without end") from error
        finally:
            self._waiting_since = None
        self._count_read(line)
        if line[-2:] != b"\r\n":
            raise InvalidResponse("it has a line that does not end in CRLF")
        return line[:-2]

    def connection_lost(self) -> ConnectionLost:
        """The error for a read that needs more data than the remote has sent."""
        position = " in the middle of an answer" if self._response_started else ""
        return ConnectionLost(self._failure or f"connection closed{position}")

    # The methods below are called by asyncio.

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # typeshed allows more types than ever arrive
        if self._ended:  # after `fail`, the system may still deliver data
            return
        super().feed_data(data)
        self._unread += len(data)
        if self._waiting_since is not None:
            self._waiting_since = self._clock()
        self._report_unexpected()

    def feed_eof(self) -> None:
        self._ended = True
        super().feed_eof()
        self._report_unexpected()

    def set_exception(self, exc: Exception) -> None:
        """End the stream, but keep received data: the remote may answer in full without reading the whole request."""
        self.fail(getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)

    def _count_read(self, piece: bytes) -> None:
        self._unread -= len(piece)
        self._response_started = self._response_started or bool(piece)

    def _report_unexpected(self) -> None:
        if self._on_unexpected is not None:
            self._on_unexpected()
