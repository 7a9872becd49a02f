"""Scenes in one process, on a clock that jumps and over connections in memory: here every time is exact.

The tools, the client of the platform, its time limits and the HTTP library are the real ones, and the scripts are those
of the scenes over real sockets. Only the network below the HTTP library is replaced.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any, cast

import anyio
import httpcore2
from mcp import Client

from cyberun_mcp.api.credentials import credential_from
from cyberun_mcp.api.pool import StackPool
from cyberun_mcp.server import build_server
from cyberun_mcp.settings import Settings
from tests.faults.platform import FaultyPlatform
from tests.faults.stage import HASTY, KEY, Limits, Outcome, Scene, call
from tests.properties.virtual_clock import run_at_once


def played_at_once(scene: Scene, era: str) -> Outcome:
    """What came of one scene on a clock of its own that began at 0."""
    platform = FaultyPlatform(scene.keyed_scripts)

    async def play() -> Outcome:
        async with connected_in_memory(platform, era, scene.limits) as client:
            return await call(client, platform, f"{scene.fault}.{era}", scene.tool, scene.arguments)

    return run_at_once(play)


@asynccontextmanager
async def connected_in_memory(
    platform: FaultyPlatform, era: str, limits: Limits = HASTY, opens_at: float = 0
) -> AsyncIterator[Client]:
    """A client of our server, with the platform behind it, which refuses connections until `opens_at`."""
    network = _Network(platform, opens_at)
    settings = Settings(api_key=KEY, base_url="http://platform.test/api/v1", **asdict(limits))
    server = build_server(settings, lambda _: credential_from(KEY), transport=_Pool(network))
    async with Client(server, mode=era, cache=None) as client:
        yield client
    await network.ended()


class _Pool(StackPool):
    """The pool of a real server, on a network in memory."""

    def __init__(self, network: "_Network") -> None:
        super().__init__(SSLContext(PROTOCOL_TLS_CLIENT), connections=10_000, idle=20)
        self._network = network

    def _new_connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        return httpcore2.AsyncHTTPConnection(origin, keepalive_expiry=3600, network_backend=self._network)


class _Network(httpcore2.AsyncNetworkBackend):
    """Connects to a platform that serves in the same event loop."""

    def __init__(self, platform: FaultyPlatform, opens_at: float) -> None:
        self._platform = platform
        self._opens_at = opens_at
        self._served: set[asyncio.Task[None]] = set()

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
        ours, theirs = _ends()
        served = self._platform.serve(theirs.reader, cast("asyncio.StreamWriter", theirs))
        self._served.add(asyncio.create_task(served))
        return _Stream(ours)

    async def ended(self) -> None:
        """Until the platform has noticed that every connection is closed, as they all are by now."""
        if self._served:
            await asyncio.wait(self._served)


class _End:
    """One end of a connection in memory, and its own transport: what scripts need of an asyncio.StreamWriter."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=2**20)
        self.other = self
        self.transport = self
        self._closed = False

    def write(self, data: bytes) -> None:
        if not self.gone:
            self.other.reader.feed_data(data)

    async def drain(self) -> None:
        await asyncio.sleep(0)
        if self.gone:
            raise ConnectionResetError

    @property
    def gone(self) -> bool:
        """Whether the connection was closed, by either end."""
        return self._closed or self.other._closed

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.other.reader.feed_eof()

    abort = close


def _ends() -> tuple[_End, _End]:
    one, other = _End(), _End()
    one.other, other.other = other, one
    return one, other


class _Stream(httpcore2.AsyncNetworkStream):
    """Our end of a connection, as the HTTP library uses it."""

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
            raise httpcore2.WriteError("the platform has hung up")
        self._end.write(buffer)

    async def aclose(self) -> None:
        self._end.close()

    def get_extra_info(self, info: str) -> Any:
        return self._end.reader.at_eof() if info == "is_readable" else None
