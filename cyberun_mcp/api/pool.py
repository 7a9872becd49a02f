"""A connection pool whose cost does not grow with its connections.

httpx2's own looks at every connection for every request, and asks the system about each idle one: twenty idle ones
double the time of a call, and with thousands of waits open the pool does little else (5,000 had not ended after 150 s
that should have taken 36). All requests of ours go to one origin, so a stack of httpcore2's connections is all it
takes: the one used last is the warmest.
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


class StackPool(httpx2.AsyncBaseTransport):
    """Serves so many requests at a time; the others queue, and get PoolTimeout when it takes too long.

    Up to `idle` connections are kept for another request, each for LONGEST_IDLE. For direct connections: httpx2 makes
    the transports of proxies itself.
    """

    def __init__(self, tls: SSLContext, connections: int, idle: int, longest_idle: float = LONGEST_IDLE) -> None:
        self._tls = tls
        self._places = anyio.Semaphore(connections, fast_acquire=True)
        self._most_idle = idle
        self._longest_idle = longest_idle
        self._idle: deque[tuple[httpcore2.AsyncHTTPConnection, float]] = deque()  # and until when

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; its connection is free again once the answer has been closed."""
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        sent = httpcore2.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        await self._take_place(request)
        connection = None
        try:
            with _errors_of_httpx2():
                connection = await self._warm_connection() or self._new_connection(url.origin)
                answer = await connection.handle_async_request(sent)
        except BaseException:
            await self.give_back(connection)
            raise
        return httpx2.Response(
            answer.status, headers=answer.headers, stream=_Body(answer, self, connection), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Close every idle connection; the others are closed with their answers."""
        self._most_idle = 0
        while self._idle:
            await self._idle.pop()[0].aclose()

    async def give_back(self, connection: httpcore2.AsyncHTTPConnection | None) -> None:
        """The end of a request: keep its connection for another one, or close it."""
        self._places.release()
        now = time.monotonic()
        usable = connection is not None and connection.is_idle() and not connection.is_closed()
        if connection is not None and usable and len(self._idle) < self._most_idle:
            self._idle.append((connection, now + self._longest_idle))
        elif connection is not None:
            await _close(connection)
        if self._idle and self._idle[0][1] < now:  # or it would lie at the bottom for ever
            await _close(self._idle.popleft()[0])

    async def _take_place(self, request: httpx2.Request) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            try:
                with anyio.fail_after(request.extensions.get("timeout", {}).get("pool")):
                    await self._places.acquire()
            except TimeoutError as error:
                raise httpx2.PoolTimeout("all connections are in use", request=request) from error

    async def _warm_connection(self) -> httpcore2.AsyncHTTPConnection | None:
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


class _Body(httpx2.AsyncByteStream):
    """The body of an answer, whose end frees its connection."""

    def __init__(self, answer: httpcore2.Response, pool: StackPool, connection: httpcore2.AsyncHTTPConnection) -> None:
        self._stream: Any = answer.stream
        self._pool = pool
        self._connection: httpcore2.AsyncHTTPConnection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx2():
            async for piece in self._stream:
                yield piece

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                with anyio.CancelScope(shield=True):
                    await self._stream.aclose()
            finally:
                await self._pool.give_back(connection)


@contextmanager
def _errors_of_httpx2() -> Iterator[None]:
    """httpcore2's exceptions as httpx2's, which have the same names."""
    try:
        yield
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise getattr(httpx2, type(error).__name__)(str(error)) from error
