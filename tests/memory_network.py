"""A network in memory, for exact times: connections of the real HTTP library to a server in the same event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any, cast

import anyio
import httpcore2

from cyberun_mcp.api.connection_pool import ConnectionPool

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class MemoryNetwork(httpcore2.AsyncNetworkBackend):
    """Connects to `serve`, which gets what asyncio gives a server: a reader and a writer.

    Until `opens_at` (anyio's clock) connections are refused.
    """

    def __init__(self, serve: Serve, opens_at: float = 0) -> None:
        self._serve = serve
        self._opens_at = opens_at
        self._served: set[asyncio.Future[None]] = set()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if anyio.current_time() < self._opens_at:
            raise httpcore2.ConnectError("connection refused")
        ours, theirs = _End(), _End()
        ours.other, theirs.other = theirs, ours
        served = self._serve(theirs.reader, cast("asyncio.StreamWriter", theirs))
        self._served.add(asyncio.ensure_future(served))
        return _Stream(ours)

    async def ended(self) -> None:
        """Until the server has noticed that every connection is closed; the client has to close them first."""
        if self._served:
            await asyncio.wait(self._served)


class MemoryPool(ConnectionPool):
    """The pool of connections that a server of ours has, on a network in memory."""

    def __init__(self, network: MemoryNetwork, connections: int = 10_000, idle: int = 20) -> None:
        super().__init__(SSLContext(PROTOCOL_TLS_CLIENT), connections, idle)
        self._network = network

    def _new_connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        return httpcore2.AsyncHTTPConnection(origin, keepalive_expiry=3600, network_backend=self._network)


class _End:
    """One end of a connection, and its own transport: what servers need of an asyncio.StreamWriter."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=2**20)
        self.transport = self
        self.other = self
        self.closed = False

    def write(self, data: bytes) -> None:
        if not self.gone:
            self.other.reader.feed_data(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)
        if self.gone:
            raise ConnectionResetError

    @property
    def gone(self) -> bool:
        """Whether either end was closed."""
        return self.closed or self.other.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.other.reader.feed_eof()

    abort = close


class _Stream(httpcore2.AsyncNetworkStream):
    """The client's end of a connection, as the HTTP library uses it."""

    def __init__(self, end: _End) -> None:
        self._end = end

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            with anyio.fail_after(timeout):
                return await self._end.reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._end.gone:
            raise httpcore2.WriteError("the server has hung up")
        self._end.write(buffer)

    async def aclose(self) -> None:
        self._end.close()

    def get_extra_info(self, info: str) -> Any:
        return self._end.reader.at_eof() if info == "is_readable" else None
