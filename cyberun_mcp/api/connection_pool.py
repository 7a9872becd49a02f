"""A connection pool whose cost does not grow with its connections.

httpx2's own pool looks at every connection for every request, and makes a system call for each idle one. Twenty idle
connections double the time of a call, and with thousands of open waits the pool does little else: 5,000 waits that
should have taken 36 s had not ended after 150 s. All our requests go to one origin, so a stack of httpcore2's
connections is enough. The connection used last is reused first.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

import anyio
import httpcore2
import httpx2

LONGEST_IDLE = 5.0  # seconds; httpx2's own, and shorter than servers keep theirs


class ConnectionPool(httpx2.AsyncBaseTransport):
    """Serves `connections` requests at a time. The others queue, and raise PoolTimeout when that takes too long.

    Up to `idle` connections are kept for later requests, each for `longest_idle` seconds. Only for direct connections:
    proxies need httpx2's own transport.
    """

    def __init__(self, tls: SSLContext, connections: int, idle: int, longest_idle: float = LONGEST_IDLE) -> None:
        self._tls = tls
        self._slots = anyio.Semaphore(connections, fast_acquire=True)
        self._most_idle = idle
        self._longest_idle = longest_idle
        self._idle: deque[tuple[httpcore2.AsyncHTTPConnection, float]] = deque()  # with the time each expires

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Its connection is free again when the response is closed. Raises httpx2.TransportError."""
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        core_request = httpcore2.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        await self._acquire_slot(request)
        connection = None
        try:
            with _as_httpx2_errors():
                connection = await self._idle_connection() or self._new_connection(url.origin)
                response = await connection.handle_async_request(core_request)
        except BaseException:
            await self.release(connection)
            raise
        return httpx2.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseBody(response, self, connection),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close every idle connection; the others are closed with their responses."""
        self._most_idle = 0
        while self._idle:
            await self._idle.pop()[0].aclose()

    async def release(self, connection: httpcore2.AsyncHTTPConnection | None) -> None:
        """End a request: keep its connection for another request, or close it."""
        self._slots.release()
        now = time.monotonic()
        usable = connection is not None and connection.is_idle() and not connection.is_closed()
        if connection is not None and usable and len(self._idle) < self._most_idle:
            self._idle.append((connection, now + self._longest_idle))
        elif connection is not None:
            await _close(connection)
        if self._idle and self._idle[0][1] < now:  # the bottom of the stack would never be used and closed
            await _close(self._idle.popleft()[0])

    async def _acquire_slot(self, request: httpx2.Request) -> None:
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            try:
                with anyio.fail_after(request.extensions.get("timeout", {}).get("pool")):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise httpx2.PoolTimeout("all connections are in use", request=request) from error

    async def _idle_connection(self) -> httpcore2.AsyncHTTPConnection | None:
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.has_expired():
                return connection
            await _close(connection)
        return None

    def _new_connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        return httpcore2.AsyncHTTPConnection(origin, self._tls, keepalive_expiry=self._longest_idle)


async def _close(connection: httpcore2.AsyncHTTPConnection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.aclose()


class _ResponseBody(httpx2.AsyncByteStream):
    """The body of a response; closing it frees the connection."""

    def __init__(
        self, response: httpcore2.Response, pool: ConnectionPool, connection: httpcore2.AsyncHTTPConnection
    ) -> None:
        self._stream: Any = response.stream
        self._pool = pool
        self._connection: httpcore2.AsyncHTTPConnection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx2_errors():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                with anyio.CancelScope(shield=True):
                    await self._stream.aclose()
            finally:
                await self._pool.release(connection)


@contextmanager
def _as_httpx2_errors() -> Iterator[None]:
    """Raise httpcore2's exceptions as those of httpx2, which have the same names."""
    try:
        yield
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise getattr(httpx2, type(error).__name__)(str(error)) from error
