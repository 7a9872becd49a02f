"""The connection pool: connections are reused, limited, and free again however a request ends."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import anyio
import httpx2
import pytest

from cyberun_mcp.api.connection_pool import LONGEST_IDLE, ConnectionPool
from tests.faults.exchange import next_request
from tests.memory_network import MemoryNetwork, MemoryPool
from tests.properties.virtual_clock import run_at_once
from tests.waiting import GUARD, until

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used: the tests use plain http
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class CountingServer:
    """A server that counts its connections; `/slow` waits for `release`, `/cut` closes the connection."""

    def __init__(self) -> None:
        self.opened = 0
        self.slow = 0  # number of requests for it
        self.open: set[asyncio.StreamWriter] = set()
        self.release = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open.add(writer)
        try:
            while True:
                path = (await next_request(reader)).path
                if path == "/slow":
                    self.slow += 1
                    await self.release.wait()
                if path == "/cut":
                    return
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open.discard(writer)
            writer.close()


@asynccontextmanager
async def client_of(
    counting_server: CountingServer, connections: int = 2, idle: int = 2
) -> AsyncIterator[httpx2.AsyncClient]:
    server = await asyncio.start_server(counting_server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = ConnectionPool(TLS, connections, idle)
    async with server, httpx2.AsyncClient(base_url=url, transport=transport, timeout=GUARD) as client:
        yield client
        counting_server.release.set()
        await client.aclose()
        await until(lambda: not counting_server.open)  # the server has noticed the closing


async def test_consecutive_requests_share_a_connection() -> None:
    counting_server = CountingServer()
    async with client_of(counting_server) as client:
        for _ in range(5):
            assert (await client.get("/")).text == "ok"
        assert counting_server.opened == 1


async def test_no_idle_connection_is_kept_with_a_limit_of_zero() -> None:
    counting_server = CountingServer()
    async with client_of(counting_server, idle=0) as client:
        for _ in range(3):
            await client.get("/")
        assert counting_server.opened == 3


def test_requests_beyond_the_limit_queue_until_the_pool_timeout() -> None:
    async def overload() -> float:
        counting_server = CountingServer()
        pool = MemoryPool(MemoryNetwork(counting_server.serve), connections=1)
        async with (
            httpx2.AsyncClient(base_url="http://server.test", transport=pool, timeout=3600) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(client.get, "/slow")
            await anyio.wait_all_tasks_blocked()
            began = anyio.current_time()
            with pytest.raises(httpx2.PoolTimeout):
                await client.get("/", timeout=httpx2.Timeout(3600, pool=0.05))
            took = anyio.current_time() - began
            counting_server.release.set()
            assert (await client.get("/")).text == "ok"
            assert counting_server.opened == 1
        return took

    assert run_at_once(overload) == pytest.approx(0.05)


@pytest.mark.parametrize("end", ["cancelled", "timed out", "cut off", "half read"])
async def test_a_request_that_fails_frees_its_slot(end: str) -> None:
    counting_server = CountingServer()
    async with client_of(counting_server, connections=1) as client:
        for _ in range(3):
            if end == "cancelled":
                count_before = counting_server.slow
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(client.get, "/slow")
                    await until(lambda count_before=count_before: counting_server.slow > count_before)  # type: ignore[misc]
                    tasks.cancel_scope.cancel()
            elif end == "timed out":
                with pytest.raises(httpx2.ReadTimeout):
                    await client.get("/slow", timeout=httpx2.Timeout(GUARD, read=0.02))
            elif end == "cut off":
                with pytest.raises(httpx2.RemoteProtocolError):
                    await client.get("/cut")
            else:
                async with client.stream("GET", "/") as answer:
                    assert answer.status_code == 200
        assert (await client.get("/")).text == "ok"


async def test_a_connection_that_the_server_has_closed_is_not_used() -> None:
    counting_server = CountingServer()
    async with client_of(counting_server) as client:
        await client.get("/")
        for writer in tuple(counting_server.open):
            writer.close()
        pool = client._transport
        assert isinstance(pool, ConnectionPool)
        [(idle, _)] = pool._idle
        await until(idle.has_expired)
        assert (await client.get("/")).text == "ok"
        assert counting_server.opened == 2


async def test_a_connection_that_is_never_reused_is_closed_when_it_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    for module in ("cyberun_mcp.api.connection_pool", "httpcore2._async.http11"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: now[0]))
    counting_server = CountingServer()
    async with client_of(counting_server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.get, "/slow")
            tasks.start_soon(client.get, "/slow")
            await until(lambda: counting_server.slow == 2)
            counting_server.release.set()
        for _ in range(3):
            now[0] += LONGEST_IDLE / 3
            await client.get("/")
            assert len(counting_server.open) == 2
        now[0] += LONGEST_IDLE / 3
        await client.get("/")
        await until(lambda: len(counting_server.open) == 1)
        assert counting_server.opened == 2


async def test_a_failed_connection_raises_connect_error() -> None:
    pool = ConnectionPool(TLS, connections=1, idle=1)
    async with httpx2.AsyncClient(transport=pool) as client:
        for _ in range(3):
            with pytest.raises(httpx2.ConnectError):
                await client.get("http://127.0.0.1:9/")
            assert not pool._idle
