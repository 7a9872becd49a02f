"""Requests to the remote over as few connections as their number in flight allows.

A connection that has idled may have been closed on the other side a moment ago. A harmless request then simply takes a
fresh one; a call that may have run must not, so it only takes a connection that has idled for less than any server's
limit (uvicorn and Node: 5 seconds).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from cyberun_mcp import __version__
from cyberun_mcp.bridge.dialing import dial
from cyberun_mcp.bridge.endpoint import Endpoint
from cyberun_mcp.bridge.headers import field_lines
from cyberun_mcp.bridge.http1 import Connection, Head, Lost, NotHttp
from cyberun_mcp.bridge.trouble import HARMLESS, answer_lost

_IDLE = 55.0  # seconds; load balancers cut at 60
_IDLE_FOR_A_CALL = 4.0
_LEFTOVERS = 0.5  # seconds the end of a stream may take after the reply, before its connection is given up
_LARGEST = 64 * 1024 * 1024  # bytes of one answer that is not a stream of events


class Answer:
    """The remote's answer to one request; its body can be read once."""

    def __init__(self, head: Head, body: AsyncIterator[bytes]) -> None:
        self.status = head.status
        self.headers = head.headers
        self.media_type = head.media_type
        self.pieces = body

    async def read(self) -> bytes:
        """The whole body. Raises Lost, or NotHttp where there is no end to it."""
        pieces, size = [], 0
        async for piece in self.pieces:
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST:
                raise NotHttp(f"an answer of more than {_LARGEST:,} bytes")
        return b"".join(pieces)


class Connections:
    """The connections to one endpoint; none is opened before the first request."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: list[Connection] = []
        own = {"Host": endpoint.authority, "User-Agent": f"cyberun-mcp/{__version__} (bridge)"}
        self._fields = field_lines({**own, "Accept-Encoding": "identity", **dict(endpoint.credentials.headers)})

    @contextlib.asynccontextmanager
    async def exchange(
        self, verb: str, headers: Mapping[str, str], body: bytes = b"", *, method: str = ""
    ) -> AsyncIterator[Answer]:
        """Send one request and give its answer, as soon as its head is there. Raises Trouble.

        Leaving before the body has ended drops the connection, which tells the remote that nobody waits any more.
        """
        fields = self._fields + field_lines(headers)
        if verb == "POST":
            fields += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = f"{verb} {self._endpoint.target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1") + body
        connection, head = await self._ask(request, method)
        try:
            yield Answer(head, pieces := connection.body(head))
            await _read_leftovers(pieces)
        except (Lost, NotHttp) as error:
            raise answer_lost(self._endpoint, method, str(error)) from error
        finally:
            if connection.reusable:
                connection.idle_since = asyncio.get_running_loop().time()
                self._idle.append(connection)
            else:
                connection.close()

    async def _ask(self, request: bytes, method: str) -> tuple[Connection, Head]:
        """A connection and the head of the answer on it."""
        repeatable = method in HARMLESS
        used = self._idle_connection(_IDLE if repeatable else _IDLE_FOR_A_CALL)
        connection = used or await dial(self._endpoint)
        try:
            return connection, await connection.ask(request)
        except Lost as error:
            connection.close()
            if used and repeatable:
                return await self._ask(request, method)
            raise answer_lost(self._endpoint, method, str(error)) from error
        except NotHttp as error:
            connection.close()
            raise answer_lost(self._endpoint, method, str(error)) from error
        except BaseException:
            connection.close()
            raise

    def _idle_connection(self, most: float) -> Connection | None:
        """The connection used last, if it is still open and has not idled too long; the others age and go."""
        oldest = asyncio.get_running_loop().time() - _IDLE
        for each in self._idle:
            if not each.usable or each.idle_since < oldest:
                each.close()
        self._idle = [each for each in self._idle if each.usable and each.idle_since >= oldest]
        if self._idle and self._idle[-1].idle_since >= asyncio.get_running_loop().time() - most:
            return self._idle.pop()
        return None


async def _read_leftovers(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the reply, so that the connection can be used again; whatever happens then concerns no call."""
    with contextlib.suppress(TimeoutError, Lost, NotHttp):
        async with asyncio.timeout(_LEFTOVERS):
            async for _ in pieces:
                continue
