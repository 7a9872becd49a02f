"""A connection pool whose cost does not grow with the connections.

httpcore2's own looks at every connection for every request: with thousands of waits open, that is most of the work. All
requests of ours go to one origin, so a stack of idle connections is all it takes.
"""

import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpcore2
import httpx2


class PooledTransport(httpx2.AsyncHTTPTransport):
    """httpx2's transport on a `StackPool`. For direct connections: httpx2 makes the transports of proxies itself."""

    def __init__(self, limits: httpx2.Limits, tls: ssl.SSLContext | bool) -> None:
        super().__init__(verify=tls, limits=limits)
        self._pool = StackPool(
            ssl_context=tls if isinstance(tls, ssl.SSLContext) else None,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
        )


class StackPool(httpcore2.AsyncConnectionPool):
    """Gives the connection that was used last to the next request, and queues requests when all are in use."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(**limits)
        self._most_idle: int = limits["max_keepalive_connections"]
        self._free = anyio.Semaphore(limits["max_connections"], fast_acquire=True)
        self._idle: deque[httpcore2.AsyncConnectionInterface] = deque()

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request; its connection is free again once the answer has been closed."""
        try:
            with anyio.fail_after(request.extensions.get("timeout", {}).get("pool")):
                await self._free.acquire()
        except TimeoutError as error:
            raise httpcore2.PoolTimeout from error
        connection = None
        try:
            connection = await self._idle_connection() or self.create_connection(request.url.origin)
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._release(connection)
            raise
        content = _Content(response.stream, self, connection)
        return httpcore2.Response(
            response.status, headers=response.headers, content=content, extensions=response.extensions
        )

    async def aclose(self) -> None:
        """Close every idle connection; the others are closed with their answers."""
        self._most_idle = 0
        while self._idle:
            await self._idle.pop().aclose()

    async def _idle_connection(self) -> httpcore2.AsyncConnectionInterface | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed() and not connection.has_expired():
                return connection
            await connection.aclose()
        return None

    async def _release(self, connection: httpcore2.AsyncConnectionInterface | None) -> None:
        self._free.release()
        with anyio.CancelScope(shield=True):
            if connection is not None and connection.is_idle() and len(self._idle) < self._most_idle:
                self._idle.append(connection)
            elif connection is not None:
                await connection.aclose()
            # The oldest ones would lie at the bottom for ever.
            if self._idle and self._idle[0].has_expired():
                await self._idle.popleft().aclose()


class _Content:
    """The body of an answer, whose end frees its connection."""

    def __init__(self, stream: Any, pool: StackPool, connection: httpcore2.AsyncConnectionInterface) -> None:
        self._stream = stream
        self._pool = pool
        self._connection: httpcore2.AsyncConnectionInterface | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            await self._pool._release(connection)  # noqa: SLF001 - it is the pool's own
