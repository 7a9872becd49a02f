"""HTTP/1.1 on one connection, as far as a JSON-RPC client needs it: one request, one response, its body in pieces."""

import asyncio
import re
import select
from collections.abc import AsyncIterator

from cyberun_mcp.bridge.errors import InvalidResponse
from cyberun_mcp.bridge.response_head import MAX_HEAD, ResponseHead, parse_head
from cyberun_mcp.bridge.response_reader import BUFFER, ResponseReader

# The grammar has no blanks after the size, but some servers pad with them.
_CHUNK = rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00\r]*)?"

_MAX_INTERIM_RESPONSES = 16  # 100 Continue, 103 Early Hints; each resets the silence clock, so they need a bound


class HttpConnection:
    """One connection to the remote.

    `idle_since` is the event loop's time when the last response ended. `reusable` says whether another request may
    follow; it is known once the body has been read.
    """

    def __init__(self, reader: ResponseReader, transport: asyncio.Transport) -> None:
        self.reader = reader
        self._transport = transport
        self.idle_since = 0.0
        self.reusable = False

    @property
    def usable(self) -> bool:
        """Whether the connection is open and free of unexpected data, as far as the event loop knows."""
        return not self._transport.is_closing() and self.reader.drained

    @property
    def usable_after_idle(self) -> bool:
        """Whether an idle connection is usable at this moment, including data that the event loop has not seen yet.

        Not for a fresh connection: with TLS the remote may send handshake data there.
        """
        return self.usable and not _has_unseen_data(self._transport.get_extra_info("socket").fileno())

    def keep_idle(self) -> None:
        """Stay open for another request. If anything arrives before it, the connection is closed at once."""
        self.idle_since = asyncio.get_running_loop().time()
        self.reader.expect_nothing(self.close)

    async def send(self, request: bytes) -> ResponseHead:
        """Send a request and wait for the head of its response. Raises ConnectionLost or InvalidResponse.

        This does not wait until the request is written, because a remote may answer and close before it has read it.
        """
        self.reusable = False
        self.reader.expect_response()
        self._transport.write(request)
        for _ in range(_MAX_INTERIM_RESPONSES + 1):
            head = await self._read_head()
            if head.status == 101:
                raise InvalidResponse("it speaks another protocol from now on, which was not asked for")
            if head.status >= 200:
                return head
        raise InvalidResponse("it has too many interim responses")

    async def read_body(self, head: ResponseHead) -> AsyncIterator[bytes]:
        """The body in pieces; `reusable` is set at its end. Raises ConnectionLost or InvalidResponse."""
        if head.chunked:
            while size := await self._read_chunk_size():
                async for piece in self._read_exactly(size):
                    yield piece
                if await self.reader.read_line():
                    raise InvalidResponse("a broken chunk")
            await self._read_lines()  # trailers
        elif head.length is not None:
            async for piece in self._read_exactly(head.length):
                yield piece
        else:
            while piece := await self.reader.read_some(BUFFER):
                yield piece
        # If part of the request is still unsent, this response may belong to another request.
        complete = self.reader.drained and not self._transport.get_write_buffer_size()
        self.reusable = head.persistent and complete

    def close(self) -> None:
        """Close the connection now. The remote sees a cancelled request if one is in flight."""
        self._transport.abort()

    async def _read_head(self) -> ResponseHead:
        return parse_head(await self._read_lines())

    async def _read_lines(self) -> list[bytes]:
        """All lines up to an empty one."""
        lines, size = [], 0
        while line := await self.reader.read_line():
            lines.append(line)
            size += len(line) + 2
            if size > MAX_HEAD:
                raise InvalidResponse(f"it has more than {MAX_HEAD:,} bytes of headers")
        return lines

    async def _read_chunk_size(self) -> int:
        chunk = re.fullmatch(_CHUNK, await self.reader.read_line())
        if chunk is None:
            raise InvalidResponse("a broken chunk")
        return int(chunk[1], 16)

    async def _read_exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self.reader.read_some(min(size, BUFFER))
            if not piece:
                raise self.reader.connection_lost()
            size -= len(piece)
            yield piece


def _has_unseen_data(descriptor: int) -> bool:
    """Whether data or the end of the stream has arrived that the event loop has not processed yet."""
    if not hasattr(select, "poll"):  # Windows, where the system reports arrivals to the event loop by itself
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
