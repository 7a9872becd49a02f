"""Sends HTTP requests to the remote over as few connections as the number of concurrent requests allows.

The remote may have closed an idle connection a moment ago. A request that is safe to repeat is then sent again on a new
connection. A call may already have been carried out, so it only uses a connection that has been idle for less time than
the shortest server timeout (5 seconds, in uvicorn and Node).

A connection is only reused if every byte on it belonged to the response of its request. Any other data, whether during
a response, after it or between two requests, closes the connection: it could be mistaken for the next response.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

from cyberun_mcp import __version__
from cyberun_mcp.bridge.connect import connect
from cyberun_mcp.bridge.error_texts import remote_unreachable, response_lost
from cyberun_mcp.bridge.errors import ConnectionLost, InvalidResponse
from cyberun_mcp.bridge.http_connection import HttpConnection
from cyberun_mcp.bridge.jsonrpc import REPEATABLE_METHODS
from cyberun_mcp.bridge.liveness import Liveness
from cyberun_mcp.bridge.remote_settings import RemoteSettings
from cyberun_mcp.bridge.request_headers import field_lines
from cyberun_mcp.bridge.response_head import ResponseHead

_MAX_IDLE = 55.0  # seconds; load balancers close at 60
_MAX_IDLE_FOR_CALLS = 4.0  # seconds
_REST_TIMEOUT = 0.5  # seconds; a stream that goes on for longer after the JSON-RPC response loses its connection
_MAX_BODY = 64 * 1024 * 1024  # bytes of a response that is not an event stream


class HttpResponse:
    """The remote's response to one request; its body can be read once.

    The reader of the body calls `on_keep_alive` for a keep-alive comment, and sets `discard_connection` if the body
    contains a message for another request.
    """

    def __init__(self, head: ResponseHead, body: AsyncIterator[bytes], on_keep_alive: Callable[[], None]) -> None:
        self.status = head.status
        self.headers = head.headers
        self.media_type = head.media_type
        self.pieces = body
        self.on_keep_alive = on_keep_alive
        self.discard_connection = False

    async def read(self) -> bytes:
        """The whole body. Raises ConnectionLost, or InvalidResponse if the body is too large."""
        pieces, size = [], 0
        async for piece in self.pieces:
            pieces.append(piece)
            size += len(piece)
            if size > _MAX_BODY:
                raise InvalidResponse(f"it is larger than {_MAX_BODY:,} bytes")
        return b"".join(pieces)


class RemoteConnections:
    """The connections to one remote; the first request opens the first one."""

    def __init__(self, remote: RemoteSettings, liveness: Liveness) -> None:
        self._remote = remote
        self._liveness = liveness
        self._idle: list[HttpConnection] = []  # the one that has been idle longest comes first
        own_headers = {"Host": remote.authority, "User-Agent": f"cyberun-mcp/{__version__} (bridge)"}
        self._fields = field_lines({**own_headers, "Accept-Encoding": "identity", **dict(remote.headers.fields)})

    @contextlib.asynccontextmanager
    async def request(
        self, http_method: str, headers: Mapping[str, str], body: bytes = b"", *, method: str = "", watched: bool = True
    ) -> AsyncIterator[HttpResponse]:
        """Send one request and yield its response as soon as the head has arrived. Raises RequestFailed.

        `method` is the JSON-RPC method in `body`. Leaving before the end of the response closes the connection, which
        cancels the request at the remote. A request that is not `watched` may stay silent without limit, and always
        gets a new connection. That suits a ping: an idle connection may be as dead as the one in question.
        """
        fields = self._fields + field_lines(headers)
        if http_method == "POST":
            fields += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = f"{http_method} {self._remote.target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1") + body
        connection, head = await self._send(request, method, watched)
        on_keep_alive = self._liveness.keep_alive_received if watched else _ignore_keep_alive
        response = HttpResponse(head, connection.read_body(head), on_keep_alive)
        try:
            yield response
            await _read_rest(response.pieces)
        except (ConnectionLost, InvalidResponse) as error:
            response.discard_connection = True
            raise response_lost(self._remote, method, str(error)) from error
        finally:
            self._liveness.unwatch(connection.reader)
            if connection.reusable and not response.discard_connection:
                self._idle.append(connection)
                connection.keep_idle()
            else:
                connection.close()

    async def _send(self, request: bytes, method: str, watched: bool) -> tuple[HttpConnection, ResponseHead]:
        """Send the request; the connection it went out on, and the head of the response."""
        repeatable = method in REPEATABLE_METHODS
        reused = self._take_idle(_MAX_IDLE if repeatable else _MAX_IDLE_FOR_CALLS) if watched else None
        connection = reused or await self._connect()
        if watched:
            self._liveness.watch(connection.reader, method)
        try:
            head = await connection.send(request)
        except (ConnectionLost, InvalidResponse) as error:
            self._discard(connection)
            if reused and repeatable and isinstance(error, ConnectionLost):
                return await self._send(request, method, watched)
            raise response_lost(self._remote, method, str(error)) from error
        except BaseException:
            self._discard(connection)
            raise
        if head.status == 408 and reused and repeatable:  # sent to the idle connection just before the request arrived
            self._discard(connection)
            return await self._send(request, method, watched)
        return connection, head

    def _discard(self, connection: HttpConnection) -> None:
        self._liveness.unwatch(connection.reader)
        connection.close()

    async def _connect(self) -> HttpConnection:
        connection = await connect(self._remote)
        if not connection.usable:
            connection.close()
            raise remote_unreachable(self._remote, "it hung up, or spoke, before anything was asked")
        return connection

    def _take_idle(self, max_idle: float) -> HttpConnection | None:
        """The most recently used connection if it is still usable and has idled for at most `max_idle` seconds."""
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0].idle_since < now - _MAX_IDLE:
            self._idle.pop(0).close()
        while self._idle and self._idle[-1].idle_since >= now - max_idle:
            connection = self._idle.pop()
            if connection.usable_after_idle:
                return connection
            connection.close()
        return None


async def _read_rest(pieces: AsyncIterator[bytes]) -> None:
    """Read the response to its end, so that the connection can be reused. Errors no longer matter to the caller."""
    with contextlib.suppress(TimeoutError, ConnectionLost, InvalidResponse):
        async with asyncio.timeout(_REST_TIMEOUT):
            async for _ in pieces:
                continue


def _ignore_keep_alive() -> None:
    """Keep-alives outside of a watched request say nothing about how the remote treats a request."""
