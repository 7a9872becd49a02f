"""Which connection a request goes out on, decided without letting the event loop look first."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from cyberun_mcp.bridge import connection_pool
from cyberun_mcp.bridge.connection_pool import ConnectionPool
from cyberun_mcp.bridge.errors import RemoteUnreachable, RequestFailed
from cyberun_mcp.bridge.http_connection import HttpConnection
from cyberun_mcp.bridge.liveness import Liveness, PingResult
from cyberun_mcp.bridge.remote_settings import RemoteSettings, load_remote_settings
from cyberun_mcp.bridge.response_reader import ResponseReader

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Ends:
    """The other ends of the connections, in place of a remote: each answers, or hangs up on, what it is asked."""

    def __init__(self) -> None:
        self.far: list[socket.socket] = []
        self.received: list[int] = []  # the number of the connection each request came on
        self.greeting = b""
        self.close_next = False
        self._serving: list[asyncio.Task[None]] = []

    async def connect(self, remote: RemoteSettings) -> HttpConnection:
        near, far = socket.socketpair()
        far.setblocking(False)
        self.far.append(far)
        reader = ResponseReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=near)
        if self.greeting:
            far.send(self.greeting)
            for _ in range(3):  # until the loop has read it
                await asyncio.sleep(0)
        self._serving.append(asyncio.create_task(self._serve(far, len(self.far) - 1)))
        return HttpConnection(reader, transport)

    async def _serve(self, far: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionResetError):
            while await loop.sock_recv(far, 65536):
                self.received.append(number)
                if self.close_next:
                    self.close_next = False
                    return far.shutdown(socket.SHUT_RDWR)
                await loop.sock_sendall(far, ANSWER)
        return None

    async def dropped(self, number: int) -> None:
        """Wait until our side has dropped a connection."""
        async with asyncio.timeout(30):
            await self._serving[number]

    def close(self) -> None:
        for serving, far in zip(self._serving, self.far, strict=True):
            serving.cancel()
            far.close()


@pytest.fixture
async def ends(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ends]:
    made = Ends()
    monkeypatch.setattr(connection_pool, "connect", made.connect)
    yield made
    made.close()


@pytest.fixture
async def remote(ends: Ends) -> ConnectionPool:
    async def ping() -> PingResult:
        return PingResult.ANSWERED

    return ConnectionPool(
        load_remote_settings("http://127.0.0.1/mcp", [], None, allow_http=False, environ={}), Liveness(ping)
    )


async def send_request(remote: ConnectionPool, method: str) -> bytes:
    async with remote.request("POST", {}, b"{}", method=method) as response:
        return await response.read()


@pytest.fixture(params=["tools/call", "tools/list"])
def method(request: pytest.FixtureRequest) -> str:
    """One that may have an effect, and one that has none."""
    return str(request.param)


async def test_a_connection_on_which_nothing_else_has_come_is_used_again(
    ends: Ends, remote: ConnectionPool, method: str
) -> None:
    assert [await send_request(remote, method) for _ in range(3)] == [b"hi"] * 3
    assert ends.received == [0, 0, 0]


async def test_bytes_the_event_loop_has_not_looked_at_yet_cost_a_connection_and_no_request(
    ends: Ends, remote: ConnectionPool, method: str
) -> None:
    await send_request(remote, method)
    ends.far[0].send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert await send_request(remote, method) == b"hi"
    assert ends.received == [0, 1]
    await ends.dropped(0)


async def test_an_end_the_event_loop_has_not_looked_at_yet_costs_a_connection_and_no_request(
    ends: Ends, remote: ConnectionPool, method: str
) -> None:
    await send_request(remote, method)
    ends.far[0].shutdown(socket.SHUT_WR)
    assert await send_request(remote, method) == b"hi"
    assert ends.received == [0, 1]


async def test_a_connection_is_dropped_once_anything_comes_even_if_no_request_follows(
    ends: Ends, remote: ConnectionPool, method: str
) -> None:
    await send_request(remote, method)
    ends.far[0].send(ANSWER)
    await ends.dropped(0)
    assert ends.received == [0]


async def test_what_comes_while_an_answer_is_being_taken_ends_the_connection_too(
    ends: Ends, remote: ConnectionPool
) -> None:
    async with remote.request("POST", {}, b"{}") as response:
        assert await response.read() == b"hi"
        ends.far[0].send(ANSWER)
        for _ in range(3):  # until the loop has read it
            await asyncio.sleep(0)
    await ends.dropped(0)


async def test_a_remote_that_speaks_first_gets_nothing_sent(ends: Ends, remote: ConnectionPool, method: str) -> None:
    ends.greeting = b"220 mail.example.com ESMTP\r\n"
    with pytest.raises(RemoteUnreachable, match=r"spoke, before anything was asked\. Nothing was sent"):
        await send_request(remote, method)
    await ends.dropped(0)
    assert ends.received == []


async def test_a_request_that_may_have_been_sent_is_only_sent_again_if_it_is_harmless(
    ends: Ends, remote: ConnectionPool, method: str
) -> None:
    await send_request(remote, method)
    ends.close_next = True
    if method == "tools/call":
        with pytest.raises(RequestFailed, match="may have been carried out"):
            await send_request(remote, method)
        assert ends.received == [0, 0]
    else:
        assert await send_request(remote, method) == b"hi"
        assert ends.received == [0, 0, 1]
