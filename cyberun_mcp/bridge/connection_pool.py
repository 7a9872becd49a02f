"""Requests to the remote over as few connections as their number in flight allows.

A connection that has idled may have been closed on the other side a moment ago. A harmless request then simply takes a
fresh one; a call that may have run must not, so it only takes a connection that has idled for less than any server's
limit (uvicorn and Node: 5 seconds).

A connection is used again only if every byte on it belonged to the request it answered. Anything else that arrives,
during an answer, behind it or between two requests, ends the connection: it would be taken for the next answer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

from cyberun_mcp import __version__
from cyberun_mcp.bridge.dialing import dial
from cyberun_mcp.bridge.endpoint import Endpoint
from cyberun_mcp.bridge.head import Head
from cyberun_mcp.bridge.headers import field_lines
from cyberun_mcp.bridge.http1 import Connection
from cyberun_mcp.bridge.incoming import Lost, NotHttp
from cyberun_mcp.bridge.liveness import Liveness
from cyberun_mcp.bridge.trouble import HARMLESS, answer_lost, unreachable

_IDLE = 55.0  # seconds; load balancers cut at 60
_IDLE_FOR_A_CALL = 4.0
_LEFTOVERS = 0.5  # seconds the end of a stream may take after the reply, before its connection is given up
_LARGEST = 64 * 1024 * 1024  # bytes of one answer that is not a stream of events


class Answer:
    """The remote's answer to one request; its body can be read once.

    `silence_broken` is to be called when a comment shows that the remote does not let a stream be silent for long,
    `doubtful` to be set where the answer holds something meant for another request.
    """

    def __init__(self, head: Head, body: AsyncIterator[bytes], silence_broken: Callable[[], None]) -> None:
        self.status = head.status
        self.headers = head.headers
        self.media_type = head.media_type
        self.pieces = body
        self.silence_broken = silence_broken
        self.doubtful = False

    async def read(self) -> bytes:
        """The whole body. Raises Lost, or NotHttp where there is no end to it."""
        pieces, size = [], 0
        async for piece in self.pieces:
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST:
                raise NotHttp(f"it is larger than {_LARGEST:,} bytes")
        return b"".join(pieces)


class Connections:
    """The connections to one endpoint; none is opened before the first request."""

    def __init__(self, endpoint: Endpoint, liveness: Liveness) -> None:
        self._endpoint = endpoint
        self._liveness = liveness
        self._idle: list[Connection] = []  # the longest idle first
        own = {"Host": endpoint.authority, "User-Agent": f"cyberun-mcp/{__version__} (bridge)"}
        self._fields = field_lines({**own, "Accept-Encoding": "identity", **dict(endpoint.credentials.headers)})

    @contextlib.asynccontextmanager
    async def exchange(
        self, verb: str, headers: Mapping[str, str], body: bytes = b"", *, method: str = "", watched: bool = True
    ) -> AsyncIterator[Answer]:
        """Send one request and give its answer, as soon as its head is there. Raises Trouble.

        Leaving before the body has ended drops the connection, which tells the remote that nobody waits any more.
        What is not `watched` may stay silent for ever; a question whether the remote lives is not, and gets a
        connection of its own, because one that has idled may be as dead as the one in question.
        """
        fields = self._fields + field_lines(headers)
        if verb == "POST":
            fields += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        request = f"{verb} {self._endpoint.target} HTTP/1.1\r\n{fields}\r\n".encode("latin-1") + body
        connection, head = await self._ask(request, method, watched)
        answer = Answer(head, connection.body(head), self._liveness.silence_broken if watched else _ignore)
        try:
            yield answer
            await _read_leftovers(answer.pieces)
        except (Lost, NotHttp) as error:
            answer.doubtful = True
            raise answer_lost(self._endpoint, method, str(error)) from error
        finally:
            self._liveness.release(connection.incoming)
            if connection.reusable and not answer.doubtful:
                self._idle.append(connection)
                connection.rest()
            else:
                connection.close()

    async def _ask(self, request: bytes, method: str, watched: bool) -> tuple[Connection, Head]:
        """A connection and the head of the answer on it."""
        repeatable = method in HARMLESS
        used = self._idle_connection(_IDLE if repeatable else _IDLE_FOR_A_CALL) if watched else None
        connection = used or await self._fresh_connection()
        if watched:
            self._liveness.watch(connection.incoming, method)
        try:
            head = await connection.ask(request)
        except (Lost, NotHttp) as error:
            self._drop(connection)
            if used and repeatable and isinstance(error, Lost):
                return await self._ask(request, method, watched)
            raise answer_lost(self._endpoint, method, str(error)) from error
        except BaseException:
            self._drop(connection)
            raise
        if head.status == 408 and used and repeatable:  # a farewell to the idle connection has crossed the request
            self._drop(connection)
            return await self._ask(request, method, watched)
        return connection, head

    def _drop(self, connection: Connection) -> None:
        self._liveness.release(connection.incoming)
        connection.close()

    async def _fresh_connection(self) -> Connection:
        connection = await dial(self._endpoint)
        if not connection.usable:
            connection.close()
            raise unreachable(self._endpoint, "it hung up, or spoke, before anything was asked")
        return connection

    def _idle_connection(self, longest: float) -> Connection | None:
        """The connection used last, if it has not idled for longer and can still be used; the others age and go."""
        now = asyncio.get_running_loop().time()
        while self._idle and self._idle[0].idle_since < now - _IDLE:
            self._idle.pop(0).close()
        while self._idle and self._idle[-1].idle_since >= now - longest:
            connection = self._idle.pop()
            if connection.usable_again:
                return connection
            connection.close()
        return None


async def _read_leftovers(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the reply, so that the connection can be used again; whatever happens then concerns no call."""
    with contextlib.suppress(TimeoutError, Lost, NotHttp):
        async with asyncio.timeout(_LEFTOVERS):
            async for _ in pieces:
                continue


def _ignore() -> None:
    """What the remote sends on its own says nothing about how it treats a request."""
