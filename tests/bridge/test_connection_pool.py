"""Which connection a request uses, even when the event loop has not processed new data yet."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from cyberun_mcp.bridge import connection_pool
from cyberun_mcp.bridge.connection_pool import RemoteConnections
from cyberun_mcp.bridge.errors import RemoteUnreachable, RequestFailed
from cyberun_mcp.bridge.http_connection import HttpConnection
from cyberun_mcp.bridge.liveness import Liveness, PingResult
from cyberun_mcp.bridge.remote_settings import RemoteSettings, load_remote_settings
from cyberun_mcp.bridge.response_reader import ResponseReader

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class RemoteEnds:
    """The remote ends of the connections. Each one responds to requests, or closes the connection."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.received: list[int] = []  # for each request, the number of its connection
        self.greeting = b""
        self.close_next = False
        self._serving: list[asyncio.Task[None]] = []

    async def connect(self, remote: RemoteSettings) -> HttpConnection:
        bridge_socket, remote_socket = socket.socketpair()
        remote_socket.setblocking(False)
        self.sockets.append(remote_socket)
        reader = ResponseReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=bridge_socket)
        if self.greeting:
            remote_socket.send(self.greeting)
            for _ in range(3):  # until the event loop has read it
                await asyncio.sleep(0)
        self._serving.append(asyncio.create_task(self._serve(remote_socket, len(self.sockets) - 1)))
        return HttpConnection(reader, transport)

    async def _serve(self, remote_socket: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionResetError):
            while await loop.sock_recv(remote_socket, 65536):
                self.received.append(number)
                if self.close_next:
                    self.close_next = False
                    return remote_socket.shutdown(socket.SHUT_RDWR)
                await loop.sock_sendall(remote_socket, ANSWER)
        return None

    async def wait_until_closed(self, number: int) -> None:
        """Wait until the bridge has closed a connection."""
        async with asyncio.timeout(30):
            await self._serving[number]

    def close(self) -> None:
        for serving, remote_socket in zip(self._serving, self.sockets, strict=True):
            serving.cancel()
            remote_socket.close()


@pytest.fixture
async def ends(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RemoteEnds]:
    remote_ends = RemoteEnds()
    monkeypatch.setattr(connection_pool, "connect", remote_ends.connect)
    yield remote_ends
    remote_ends.close()


@pytest.fixture
async def pool(ends: RemoteEnds) -> RemoteConnections:
    async def ping() -> PingResult:
        return PingResult.ANSWERED

    return RemoteConnections(
        load_remote_settings("http://127.0.0.1/mcp", [], None, allow_http=False, environ={}), Liveness(ping)
    )


async def send_request(pool: RemoteConnections, method: str) -> bytes:
    async with pool.request("POST", {}, b"{}", method=method) as response:
        return await response.read()


@pytest.fixture(params=["tools/call", "tools/list"])
def method(request: pytest.FixtureRequest) -> str:
    """A method that may have an effect, and one that is safe to repeat."""
    return str(request.param)


async def test_a_connection_without_unexpected_data_is_reused(
    ends: RemoteEnds, pool: RemoteConnections, method: str
) -> None:
    assert [await send_request(pool, method) for _ in range(3)] == [b"hi"] * 3
    assert ends.received == [0, 0, 0]


async def test_unexpected_data_that_the_event_loop_has_not_seen_costs_a_connection_but_no_request(
    ends: RemoteEnds, pool: RemoteConnections, method: str
) -> None:
    await send_request(pool, method)
    ends.sockets[0].send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert await send_request(pool, method) == b"hi"
    assert ends.received == [0, 1]
    await ends.wait_until_closed(0)


async def test_an_end_of_stream_that_the_event_loop_has_not_seen_costs_a_connection_but_no_request(
    ends: RemoteEnds, pool: RemoteConnections, method: str
) -> None:
    await send_request(pool, method)
    ends.sockets[0].shutdown(socket.SHUT_WR)
    assert await send_request(pool, method) == b"hi"
    assert ends.received == [0, 1]


async def test_an_idle_connection_closes_on_unexpected_data_even_if_no_request_follows(
    ends: RemoteEnds, pool: RemoteConnections, method: str
) -> None:
    await send_request(pool, method)
    ends.sockets[0].send(ANSWER)
    await ends.wait_until_closed(0)
    assert ends.received == [0]


async def test_unexpected_data_during_the_processing_of_a_response_closes_the_connection(
    ends: RemoteEnds, pool: RemoteConnections
) -> None:
    async with pool.request("POST", {}, b"{}") as response:
        assert await response.read() == b"hi"
        ends.sockets[0].send(ANSWER)
        for _ in range(3):  # until the event loop has read it
            await asyncio.sleep(0)
    await ends.wait_until_closed(0)


async def test_nothing_is_sent_to_a_remote_that_speaks_first(
    ends: RemoteEnds, pool: RemoteConnections, method: str
) -> None:
    ends.greeting = b"220 mail.example.com ESMTP\r\n"
    with pytest.raises(RemoteUnreachable, match=r"spoke, before anything was asked\. Nothing was sent"):
        await send_request(pool, method)
    await ends.wait_until_closed(0)
    assert ends.received == []


async def test_a_request_whose_response_is_lost_is_only_repeated_if_that_is_safe(
    ends: RemoteEnds, pool: RemoteConnections, method: str
) -> None:
    await send_request(pool, method)
    ends.close_next = True
    if method == "tools/call":
        with pytest.raises(RequestFailed, match="may have been carried out"):
            await send_request(pool, method)
        assert ends.received == [0, 0]
    else:
        assert await send_request(pool, method) == b"hi"
        assert ends.received == [0, 0, 1]
